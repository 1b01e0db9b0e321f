//! Pushes to random clients, through kept-alive control connections, and the clients hear them.
//!
//! A client is pushed to through one of the connections only, so that its pushes have an order.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::Token;
use mio::event::Event;

use super::{OTHERS, PATIENCE, Pace, Swarm, Window};
use crate::client::Step;
use crate::interrupt;
use crate::latency;
use crate::pusher::Pusher;

/// Where the pushes go in, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushes {
    /// The gateway's control side.
    pub(crate) control: SocketAddr,
    pub(crate) connections: usize,
    /// Time between two pushes; without it, each connection pushes again as soon as it has its answer.
    pub(crate) every: Option<Duration>,
    pub(crate) start: Instant,
}

/// Latencies of the pushes that were sent, or due, within the window: until the gateway's answer, and until the
/// client heard it.
pub(crate) struct Latencies {
    pub(crate) answered: Histogram<u64>,
    pub(crate) heard: Histogram<u64>,
}

/// A push to the client in a slot, which was due at some time.
type Job = (usize, Instant);

struct Pushing {
    pushers: Vec<Pusher>,
    /// Jobs that wait for their connection.
    waiting: Vec<VecDeque<Job>>,
    /// Pushes to each client so far.
    sent: Vec<u32>,
    /// Pushes not heard yet: to whom, the how manyth, due when.
    unheard: HashMap<(usize, u32), Instant>,
    unanswered: usize,
    random: u64,
    window: Window,
    latencies: Latencies,
}

impl Swarm {
    /// Pushes to this swarm's clients until `end`, and waits until all is answered and heard.
    pub(crate) fn push(&mut self, pushes: Pushes, window: Window, end: Instant) -> Result<Latencies> {
        let mut pushing = Pushing::new(self, pushes, window)?;
        let mut turn = 0;
        if pushes.every.is_none() {
            for connection in 0..pushing.pushers.len() {
                pushing.push_again(self, connection)?;
            }
        }
        while Instant::now() < end || !pushing.is_done() {
            interrupt::check()?;
            let missing = (pushing.unanswered, pushing.unheard.len());
            ensure!(Instant::now() < end + PATIENCE, "pushes not answered, not heard: {missing:?}");
            let mut next = end;
            if let Some(every) = pushes.every {
                let due = |turn| Pace { start: pushes.start, every, clients: 1 }.at(turn);
                while Instant::now() < end && due(turn) <= Instant::now() {
                    pushing.push_random(self, due(turn))?;
                    turn += 1;
                }
                next = next.min(due(turn));
            }
            let mut answered = Vec::new();
            self.wait_until_with(next, |event| pushing.ready(event, &mut answered))?;
            for connection in answered {
                if let Some(job) = pushing.waiting[connection].pop_front() {
                    pushing.send(self, connection, job)?;
                } else if pushes.every.is_none() && Instant::now() < end {
                    pushing.push_again(self, connection)?;
                }
            }
            for (slot, step) in std::mem::take(&mut self.steps) {
                let Step::Heard(last, count) = step else { bail!("a client that listens: {step:?}") };
                (last + 1 - count..=last).try_for_each(|number| pushing.hear(slot, number))?;
            }
        }
        Ok(pushing.latencies)
    }
}

impl Pushing {
    fn new(swarm: &Swarm, pushes: Pushes, window: Window) -> Result<Pushing> {
        let clients = swarm.clients.len();
        let connections = pushes.connections.min(clients);
        ensure!(connections > 0, "nobody to push to");
        let connect = |index| Pusher::connect(pushes.control, swarm.poll.registry(), Token(OTHERS + index));
        Ok(Pushing {
            pushers: (0..connections).map(connect).collect::<Result<_>>()?,
            waiting: vec![VecDeque::new(); connections],
            sent: vec![0; clients],
            unheard: HashMap::new(),
            unanswered: 0,
            random: 1,
            window,
            latencies: Latencies { answered: latency::histogram(), heard: latency::histogram() },
        })
    }

    fn is_done(&self) -> bool {
        self.unanswered == 0 && self.unheard.is_empty() && self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Through `connection`, to one of the clients that are its own.
    fn push_again(&mut self, swarm: &mut Swarm, connection: usize) -> Result<()> {
        let (clients, connections) = (self.sent.len(), self.pushers.len());
        let own = (clients - connection).div_ceil(connections);
        let slot = connection + connections * self.below(own);
        self.send(swarm, connection, (slot, Instant::now()))
    }

    /// To any client, as soon as its connection is free.
    fn push_random(&mut self, swarm: &mut Swarm, due: Instant) -> Result<()> {
        let slot = self.below(self.sent.len());
        let connection = slot % self.pushers.len();
        if self.pushers[connection].is_free() {
            return self.send(swarm, connection, (slot, due));
        }
        self.waiting[connection].push_back((slot, due));
        Ok(())
    }

    fn send(&mut self, swarm: &mut Swarm, connection: usize, (slot, due): Job) -> Result<()> {
        let client = swarm.clients[slot].as_ref().context("a push to a closed client")?;
        self.sent[slot] += 1;
        self.unanswered += 1;
        self.unheard.insert((slot, self.sent[slot]), due);
        let size = swarm.target.size;
        self.pushers[connection].push(client.number(), self.sent[slot], size, due, &mut swarm.scratch)
    }

    fn ready(&mut self, event: &Event, answered: &mut Vec<usize>) -> Result<()> {
        let connection = event.token().0 - OTHERS;
        let Some(due) = self.pushers[connection].ready(event)? else { return Ok(()) };
        if self.window.has(due) {
            latency::record(&mut self.latencies.answered, due.elapsed());
        }
        self.unanswered -= 1;
        answered.push(connection);
        Ok(())
    }

    fn hear(&mut self, slot: usize, number: u32) -> Result<()> {
        let due = self.unheard.remove(&(slot, number)).context("a push was heard that was never sent")?;
        if self.window.has(due) {
            latency::record(&mut self.latencies.heard, due.elapsed());
        }
        Ok(())
    }

    /// A random number below `bound`: any fair order of clients will do (an xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }
}
