//! A worker: one shard of the gateway, its listeners, its inbox and its timer, on one thread.

use std::fmt;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use ws2http_core::{Config, Gateway, ProcessStats, Report, ShardId, Shared, Surface};

use crate::api::{Api, Tls};
use crate::clock::Clock;
use crate::lanes::Lanes;
use crate::net::Net;
use crate::post::{Letter, Post};
use crate::shard::{Shard, ShardParts, SharedShard};

/// Letters, or rounds of the timer, before the other tasks have their turn.
const ROUNDS: usize = 64;

/// How long a listener rests after an error such as running out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often at most a listener's errors are logged.
const ACCEPT_WARNING_EVERY: Duration = Duration::from_secs(60);

/// What the process around the workers does for them.
#[derive(Clone)]
pub struct Hooks {
    /// Puts into the log what an operator should read there.
    pub report: Arc<dyn Fn(Report) + Send + Sync>,
    /// Reads the figures of the process.
    pub observe: fn() -> ProcessStats,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// One worker that does not run yet; it can be moved to its thread.
pub struct Worker<N: Net> {
    shard: ShardId,
    config: Arc<Config>,
    shared: Arc<Shared>,
    seed: [u8; 32],
    clock: Clock,
    tls: Option<Tls>,
    post: Post<N>,
    inbox: UnboundedReceiver<Letter<N>>,
    hooks: Hooks,
}

/// Ends the workers in an orderly way.
pub struct Drain<N: Net>(Post<N>);

impl<N: Net> Drain<N> {
    /// Has all workers send their clients away and end (contract, section 8). Safe when repeated.
    pub fn start(&self) {
        self.0.drain();
    }
}

/// The workers of one gateway: one for each shard, and what drains them.
///
/// # Errors
///
/// If the API is reached by `https` and the system's certificates cannot be read.
pub fn workers<N: Net>(
    config: Arc<Config>,
    shards: u16,
    seed: [u8; 32],
    hooks: Hooks,
) -> io::Result<(Vec<Worker<N>>, Drain<N>)> {
    let shared = Arc::new(Shared::new(shards));
    let clock = Clock::start();
    let tls = Tls::for_api(&config.api)?;
    let (post, inboxes) = Post::new(shards);
    let workers = (0..shards).zip(inboxes).map(|(shard, inbox)| Worker {
        shard: ShardId(shard),
        config: Arc::clone(&config),
        shared: Arc::clone(&shared),
        seed,
        clock,
        tls: tls.clone(),
        post: post.clone(),
        inbox,
        hooks: hooks.clone(),
    });
    Ok((workers.collect(), Drain(post.clone())))
}

impl<N: Net> Worker<N> {
    /// Serves what comes in by these listeners, until a drain has ended.
    ///
    /// It may have no listener at all: other workers hand over the sockets that belong here.
    ///
    /// # Panics
    ///
    /// Outside of a `LocalRuntime` or `LocalSet` of tokio with time (and, for [`crate::Tcp`], IO).
    pub async fn run(mut self, listeners: Vec<(Surface, N::Listener)>) {
        let shard = self.start();
        let accepting: Vec<AbortHandle> = listeners
            .into_iter()
            .map(|(surface, listener)| spawn_local(accept_all(Rc::clone(&shard), listener, surface)).abort_handle())
            .collect();
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            if poll_inbox(&shard, &mut self.inbox, cx).is_ready() {
                return Poll::Ready(());
            }
            poll_timer(&shard, self.clock, timer.as_mut(), cx);
            Poll::Pending
        })
        .await;
        accepting.iter().for_each(AbortHandle::abort);
        shard.borrow_mut().close();
    }

    fn start(&self) -> SharedShard<N> {
        let config = Arc::clone(&self.config);
        let shared = Arc::clone(&self.shared);
        // A share is at least one, but an operator who wants none gets none.
        let idle = match config.max_idle_api_connections {
            0 => 0,
            limit => shared.share(limit, self.shard),
        };
        let gateway = Gateway::new(config, self.shard, shared, self.seed, self.clock.now());
        Shard::new(ShardParts {
            id: self.shard,
            config: Arc::clone(&self.config),
            gateway,
            clock: self.clock,
            lanes: Lanes::new(idle),
            api: Api::new(&self.config.api, self.tls.clone()),
            post: self.post.clone(),
            hooks: self.hooks.clone(),
        })
    }
}

fn poll_inbox<N: Net>(
    shard: &SharedShard<N>,
    inbox: &mut UnboundedReceiver<Letter<N>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..ROUNDS {
        let Poll::Ready(letter) = inbox.poll_recv(cx) else {
            return Poll::Pending;
        };
        // The shard itself has a sender, so the channel stays open.
        let Some(letter) = letter else {
            return Poll::Ready(());
        };
        let mut shard = shard.borrow_mut();
        shard.open_letter(letter);
        if shard.finished {
            return Poll::Ready(());
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// The clock is asked first: a timer may be late, and is not set again as long as it is too early.
fn poll_timer<N: Net>(shard: &SharedShard<N>, clock: Clock, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) {
    let mut shard = shard.borrow_mut();
    shard.alarm_waker.clone_from(cx.waker());
    for _ in 0..ROUNDS {
        shard.read_clock();
        let Some(deadline) = shard.deadline() else {
            shard.alarm = None;
            return;
        };
        if deadline <= shard.now {
            // What is done now needs no waking.
            shard.alarm = Some(shard.now);
            shard.expire();
            shard.alarm = None;
            continue;
        }
        if shard.alarm != Some(deadline) {
            shard.alarm = Some(deadline);
            timer.as_mut().reset(clock.instant(deadline));
        }
        if timer.as_mut().poll(cx).is_pending() {
            return;
        }
        shard.alarm = None;
    }
    cx.waker().wake_by_ref();
}

async fn accept_all<N: Net>(shard: SharedShard<N>, listener: N::Listener, surface: Surface) {
    let mut warned: Option<Instant> = None;
    loop {
        match N::accept(&listener).await {
            Ok((stream, address)) => shard.borrow_mut().accept(stream, address, surface),
            // The client was gone before it was let in: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_EVERY) {
                    warned = Some(Instant::now());
                    tracing::warn!(
                        "cannot accept connections: {error}; trying on (raise the limit of open \
                         files if it is reached)"
                    );
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
