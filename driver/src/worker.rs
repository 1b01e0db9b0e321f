//! A worker: one shard of the gateway, its listeners, its inbox and its timer, on one thread.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::mpsc::UnboundedReceiver;
use futures_core::Stream;
use ws2http_core::{Config, Gateway, ShardId, Shared, Surface};

use crate::clock::Clock;
use crate::connection;
use crate::post::{Drain, Letter, Post};
use crate::runtime::Runtime;
use crate::shard::{Hooks, Shard, ShardParts, SharedShard};

/// Letters, connects or rounds of the timer before the other tasks have their turn.
const ROUNDS: usize = 64;

/// How long a listener rests after an error such as running out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often at most a listener's errors are logged.
const ACCEPT_WARNING_EVERY: Duration = Duration::from_secs(60);

/// One worker that does not run yet; it can be moved to its thread.
pub struct Worker<R: Runtime> {
    shard: ShardId,
    config: Arc<Config>,
    shared: Arc<Shared>,
    seed: [u8; 32],
    clock: Clock,
    post: Post<R::Parcel>,
    inbox: UnboundedReceiver<Letter<R::Parcel>>,
    hooks: Hooks,
}

impl<R: Runtime> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("shard", &self.shard).finish_non_exhaustive()
    }
}

/// The workers of one gateway: one for each shard, and what drains them.
pub fn workers<R: Runtime>(
    config: Arc<Config>,
    shards: u16,
    seed: [u8; 32],
    hooks: Hooks,
) -> (Vec<Worker<R>>, Drain<R::Parcel>) {
    let shared = Arc::new(Shared::new(shards));
    let clock = Clock::start(R::now());
    let (post, inboxes) = Post::new(shards);
    let workers = (0..shards).zip(inboxes).map(|(shard, inbox)| Worker {
        shard: ShardId(shard),
        config: Arc::clone(&config),
        shared: Arc::clone(&shared),
        seed,
        clock,
        post: post.clone(),
        inbox,
        hooks: hooks.clone(),
    });
    (workers.collect(), Drain(post.clone()))
}

impl<R: Runtime> Worker<R> {
    /// The gateway's settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many idle connections to the API this worker may keep.
    pub fn max_idle_api_connections(&self) -> usize {
        // A share is at least one, but an operator who wants none gets none.
        match self.config.max_idle_api_connections {
            0 => 0,
            limit => self.shared.share(limit, self.shard),
        }
    }

    /// Serves what comes in by these listeners, until a drain has ended.
    ///
    /// It may have no listener at all: other workers hand over the sockets that belong here.
    pub async fn run(self, runtime: R, listeners: Vec<(Surface, R::Listener)>) {
        let Worker { shard: id, config, shared, seed, clock, post, mut inbox, hooks } = self;
        let gateway = Gateway::new(Arc::clone(&config), id, shared, seed, clock.timestamp(R::now()));
        let shard = Shard::new(ShardParts { runtime, id, config, gateway, clock, post, hooks });
        let mut tasks = vec![shard.borrow().runtime.spawn(connection::run(Rc::clone(&shard)))];
        tasks.extend(listeners.into_iter().map(|(surface, listener)| {
            let accepting = accept_all(Rc::clone(&shard), listener, surface);
            shard.borrow().runtime.spawn(accepting)
        }));
        let mut timer = pin!(R::sleep_until(R::now()));
        poll_fn(|cx| {
            if poll_inbox(&shard, &mut inbox, cx).is_ready() {
                return Poll::Ready(());
            }
            poll_timer(&shard, clock, timer.as_mut(), cx);
            Poll::Pending
        })
        .await;
        drop(tasks);
        shard.borrow_mut().close();
    }
}

fn poll_inbox<R: Runtime>(
    shard: &SharedShard<R>,
    inbox: &mut UnboundedReceiver<Letter<R::Parcel>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..ROUNDS {
        let Poll::Ready(letter) = Pin::new(&mut *inbox).poll_next(cx) else {
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
fn poll_timer<R: Runtime>(shard: &SharedShard<R>, clock: Clock, mut timer: Pin<&mut R::Sleep>, cx: &mut Context<'_>) {
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
            R::reset(timer.as_mut(), clock.instant(deadline));
        }
        if timer.as_mut().poll(cx).is_pending() {
            return;
        }
        shard.alarm = None;
    }
    cx.waker().wake_by_ref();
}

async fn accept_all<R: Runtime>(shard: SharedShard<R>, listener: R::Listener, surface: Surface) {
    let mut warned: Option<Instant> = None;
    for count in 1_usize.. {
        if count.is_multiple_of(ROUNDS) {
            give_way().await;
        }
        match R::accept(&listener).await {
            Ok((stream, address)) => shard.borrow_mut().accept(stream, address, surface),
            // The client was gone before it was let in: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let now = R::now();
                if warned.is_none_or(|at| now.saturating_duration_since(at) >= ACCEPT_WARNING_EVERY) {
                    warned = Some(now);
                    tracing::warn!(
                        "cannot accept connections: {error}; trying on (raise the limit of open \
                         files if it is reached)"
                    );
                }
                R::sleep_until(now + ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets the other tasks have their turn.
async fn give_way() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
