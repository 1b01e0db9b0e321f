//! Many clients on one thread.

mod growing;
mod loops;
mod paced;
mod pushing;
mod timer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{Client, Scratch, Step, Wire};
use crate::interrupt;
use crate::latency;
use crate::link::SCRATCH_BYTES;
use crate::listen;

pub(crate) use growing::Order;
pub(crate) use paced::Pace;
pub(crate) use pushing::Pushes;
use timer::Timer;

/// Clients that leave from one source address: far fewer than it has free ports.
pub(crate) const CLIENTS_PER_SOURCE: usize = 10_000;

/// How long an answer, a handshake or a goodbye may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one wait lasts at most, so that an interrupt and a deadline are noticed.
const TURN: Duration = Duration::from_millis(200);

/// The token of the timer; those of clients are their slots.
const TIMER: Token = Token(usize::MAX);

/// The tokens from here on, up to the timer's, are not of clients.
const OTHERS: usize = usize::MAX / 2;

/// What all threads together have done so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) opened: AtomicU64,
    /// Messages that the clients sent.
    pub(crate) sent: AtomicU64,
    pub(crate) answered: AtomicU64,
    /// Pushes that the clients heard.
    pub(crate) heard: AtomicU64,
    pub(crate) closed: AtomicU64,
}

/// Whom the clients connect to, and how they speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) wire: Wire,
    /// Bytes of a message.
    pub(crate) size: usize,
}

/// The time in which messages count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Window {
    /// Whether `time` lies in it.
    pub(crate) fn has(self, time: Instant) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// The clients of one thread.
pub(crate) struct Swarm {
    target: Target,
    poll: Poll,
    events: Events,
    timer: Timer,
    clients: Vec<Option<Client>>,
    /// Number of this swarm's next client, and the distance to the one after it: swarms interleave.
    next_number: usize,
    stride: usize,
    scratch: Scratch,
    steps: Vec<(usize, Step)>,
    /// Messages without an answer yet.
    under_way: usize,
    progress: Arc<Progress>,
}

impl Swarm {
    /// A swarm without clients; its clients are numbered `first`, `first + stride`, and so on.
    pub(crate) fn new(target: Target, first: usize, stride: usize, progress: Arc<Progress>) -> Result<Swarm> {
        let input = vec![0; SCRATCH_BYTES].into_boxed_slice();
        let poll = Poll::new()?;
        Ok(Swarm {
            target,
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            events: Events::with_capacity(256),
            clients: Vec::new(),
            next_number: first,
            stride,
            scratch: Scratch { input, output: Vec::new(), text: String::new() },
            steps: Vec::new(),
            under_way: 0,
            progress,
        })
    }

    /// Opens `count` more clients, at most `at_once` under way; with `greet` each exchanges one message.
    ///
    /// Answers how long the opening took.
    pub(crate) fn connect(&mut self, count: usize, at_once: usize, greet: bool) -> Result<Histogram<u64>> {
        let mut took = latency::histogram();
        let (mut to_start, mut pending) = (count, 0);
        while to_start + pending > 0 {
            while to_start > 0 && pending < at_once {
                self.clients.push(None);
                self.open(self.clients.len() - 1)?;
                to_start -= 1;
                pending += 1;
            }
            for (slot, step) in self.steps()? {
                match step {
                    Step::Opened(time) => {
                        latency::record(&mut took, time);
                        if greet {
                            self.send(slot)?;
                        } else {
                            pending -= 1;
                        }
                    }
                    Step::Answered(_) => pending -= 1,
                    Step::Heard(..) | Step::Closed(_) => bail!("a client that is being opened: {step:?}"),
                }
            }
        }
        Ok(took)
    }

    /// Closes every client, at most `at_once` under way, and waits for the server's end.
    pub(crate) fn close(&mut self, at_once: usize) -> Result<()> {
        let (mut next, mut pending) = (0, 0);
        while next < self.clients.len() || pending > 0 {
            while next < self.clients.len() && pending < at_once {
                self.say_goodbye(next)?;
                pending += 1;
                next += 1;
            }
            for (_, step) in self.steps()? {
                let Step::Closed(_) = step else { bail!("a client that says goodbye: {step:?}") };
                pending -= 1;
            }
        }
        self.clients.clear();
        Ok(())
    }

    fn open(&mut self, slot: usize) -> Result<()> {
        let stream = connect(self.target.address, self.next_number).context("cannot connect")?;
        let (wire, size, number) = (self.target.wire, self.target.size, self.next_number);
        let client = Client::new(stream, wire, number, size, self.poll.registry(), Token(slot))?;
        self.clients[slot] = Some(client);
        self.next_number += self.stride;
        Ok(())
    }

    fn send(&mut self, slot: usize) -> Result<()> {
        let client = self.clients[slot].as_mut().context("a message of a closed client")?;
        client.send(Instant::now(), &mut self.scratch)?;
        self.count_sent();
        Ok(())
    }

    fn count_sent(&mut self) {
        self.under_way += 1;
        self.progress.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn say_goodbye(&mut self, slot: usize) -> Result<()> {
        let client = self.clients[slot].as_mut().context("a goodbye of a closed client")?;
        client.close(&mut self.scratch)
    }

    fn remove(&mut self, slot: usize) {
        if let Some(client) = self.clients[slot].take() {
            client.leave(self.poll.registry());
            self.progress.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What happened next: at least one step.
    ///
    /// # Errors
    /// A client was treated wrongly, nothing happened for too long, or the run was interrupted.
    fn steps(&mut self) -> Result<Vec<(usize, Step)>> {
        let started = Instant::now();
        loop {
            interrupt::check()?;
            self.turn(TURN)?;
            if !self.steps.is_empty() {
                return Ok(std::mem::take(&mut self.steps));
            }
            if started.elapsed() > PATIENCE {
                bail!("nothing happened for {PATIENCE:?}: the server owes an answer");
            }
        }
    }

    /// Handles the sockets that are ready, waiting `limit` at most for the first one.
    fn turn(&mut self, limit: Duration) -> Result<()> {
        self.turn_with(limit, |_| Ok(()))
    }

    /// The same; `other` handles events with tokens from [`OTHERS`] on.
    fn turn_with(&mut self, limit: Duration, mut other: impl FnMut(&Event) -> Result<()>) -> Result<()> {
        listen::wait(&mut self.poll, &mut self.events, Some(limit))?;
        for event in &self.events {
            let slot = match event.token() {
                TIMER => continue,
                Token(OTHERS..) => {
                    other(event)?;
                    continue;
                }
                Token(slot) => slot,
            };
            let Some(client) = &mut self.clients[slot] else { continue };
            let Some(step) = client.ready(event, &mut self.scratch)? else { continue };
            self.steps.push((slot, step));
        }
        for at in 0..self.steps.len() {
            let (slot, step) = self.steps[at];
            match step {
                Step::Opened(_) => drop(self.progress.opened.fetch_add(1, Ordering::Relaxed)),
                Step::Answered(_) => {
                    self.under_way -= 1;
                    self.progress.answered.fetch_add(1, Ordering::Relaxed);
                }
                Step::Heard(_, count) => drop(self.progress.heard.fetch_add(count.into(), Ordering::Relaxed)),
                Step::Closed(_) => self.remove(slot),
            }
        }
        Ok(())
    }
}

/// Starts to connect from one of the loopback's many addresses, chosen by the client's number.
fn connect(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))
        .context("no socket to be had (descriptors used up? see ulimit -n)")?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (number / CLIENTS_PER_SOURCE % 250) as u8);
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => return Err(error.into()),
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}
