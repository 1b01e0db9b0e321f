//! Many clients on one thread.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{Client, Scratch, Step, Wire};
use crate::interrupt;
use crate::latency;
use crate::link::SCRATCH_BYTES;
use crate::listen;

/// Clients that leave from one source address: far fewer than it has free ports.
const CLIENTS_PER_SOURCE: usize = 10_000;

/// How long an answer, a handshake or a goodbye may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one wait lasts at most, so that an interrupt and a deadline are noticed.
const TURN: Duration = Duration::from_millis(200);

/// What all threads together have done so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) opened: AtomicU64,
    pub(crate) answered: AtomicU64,
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

/// The clients of one thread.
pub(crate) struct Swarm {
    target: Target,
    poll: Poll,
    events: Events,
    clients: Vec<Option<Client>>,
    /// Number of this swarm's next client, and the distance to the one after it: swarms interleave.
    next_number: usize,
    stride: usize,
    scratch: Scratch,
    steps: Vec<(usize, Step)>,
    progress: Arc<Progress>,
}

impl Swarm {
    /// A swarm without clients; its clients are numbered `first`, `first + stride`, and so on.
    pub(crate) fn new(target: Target, first: usize, stride: usize, progress: Arc<Progress>) -> Result<Swarm> {
        let input = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Ok(Swarm {
            target,
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            clients: Vec::new(),
            next_number: first,
            stride,
            scratch: Scratch { input, output: Vec::new(), text: String::new() },
            steps: Vec::new(),
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
                    Step::Closed(_) => bail!("a client that was being opened is closed"),
                }
            }
        }
        Ok(took)
    }

    /// Every client sends a message, and the next as soon as it has its answer, until the window ends.
    ///
    /// Answers the latencies of the messages answered within the window.
    pub(crate) fn closed_loop(&mut self, window: Window) -> Result<Histogram<u64>> {
        let mut latencies = latency::histogram();
        let mut pending = self.clients.len();
        for slot in 0..pending {
            self.send(slot)?;
        }
        while pending > 0 {
            let steps = self.steps()?;
            let now = Instant::now();
            for (slot, step) in steps {
                let Step::Answered(time) = step else { bail!("a client that waits for an answer: {step:?}") };
                if now >= window.until {
                    pending -= 1;
                    continue;
                }
                if now >= window.from {
                    latency::record(&mut latencies, time);
                }
                self.send(slot)?;
            }
        }
        Ok(latencies)
    }

    /// Opens, closes and opens again, `at_once` clients at a time, until the window ends.
    ///
    /// Answers how long the openings within the window took.
    pub(crate) fn churn(&mut self, at_once: usize, window: Window) -> Result<Histogram<u64>> {
        let mut took = latency::histogram();
        for slot in 0..at_once {
            self.clients.push(None);
            self.open(slot)?;
        }
        let mut pending = at_once;
        while pending > 0 {
            for (slot, step) in self.steps()? {
                let now = Instant::now();
                match step {
                    Step::Opened(time) => {
                        if now >= window.from && now < window.until {
                            latency::record(&mut took, time);
                        }
                        self.say_goodbye(slot)?;
                    }
                    Step::Closed(_) if now < window.until => self.open(slot)?,
                    Step::Closed(_) => pending -= 1,
                    Step::Answered(_) => bail!("an answer without a message"),
                }
            }
        }
        self.clients.clear();
        Ok(took)
    }

    /// Holds the clients and does nothing, until `until`; whatever happens to them is an error.
    pub(crate) fn hold(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            interrupt::check()?;
            self.turn(TURN.min(until.saturating_duration_since(Instant::now())))?;
            if let Some((slot, step)) = self.steps.pop() {
                bail!("client in slot {slot} should be idle: {step:?}");
            }
        }
        Ok(())
    }

    /// Closes every client, at most `at_once` under way, and waits for the server's end.
    pub(crate) fn close(&mut self, at_once: usize) -> Result<()> {
        let (mut next, mut pending) = (0, 0);
        while next < self.clients.len() || pending > 0 {
            while next < self.clients.len() && pending < at_once {
                pending += usize::from(self.say_goodbye(next)?);
                next += 1;
            }
            if pending == 0 {
                continue;
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
        client.send(&mut self.scratch)
    }

    /// Answers whether the server's end is still to be awaited.
    fn say_goodbye(&mut self, slot: usize) -> Result<bool> {
        let client = self.clients[slot].as_mut().context("a goodbye of a closed client")?;
        let awaited = client.close(&mut self.scratch)?;
        if !awaited {
            self.remove(slot);
        }
        Ok(awaited)
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
        listen::wait(&mut self.poll, &mut self.events, Some(limit))?;
        for event in &self.events {
            let slot = event.token().0;
            let Some(client) = &mut self.clients[slot] else { continue };
            let Some(step) = client.ready(event, &mut self.scratch)? else { continue };
            self.steps.push((slot, step));
        }
        for at in 0..self.steps.len() {
            let (slot, step) = self.steps[at];
            match step {
                Step::Opened(_) => drop(self.progress.opened.fetch_add(1, Ordering::Relaxed)),
                Step::Answered(_) => drop(self.progress.answered.fetch_add(1, Ordering::Relaxed)),
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
