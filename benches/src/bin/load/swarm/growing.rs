//! Clients that become more and more, each with its messages at a pace, until all leave.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;

use super::paced::Schedule;
use super::{PATIENCE, Pace, Swarm};
use crate::client::Step;
use crate::interrupt;
use crate::latency;

/// How long a wait lasts at most, so that an order is soon obeyed.
const LISTEN_EVERY: Duration = Duration::from_millis(20);

/// What the clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Open clients until there are `count`, evenly over this time.
    Open { count: usize, over: Duration },
    /// Await the answers, close all clients, and end.
    Leave,
}

/// How many clients there are to be, and when.
struct Growth {
    start: Instant,
    over: Duration,
    from: usize,
    to: usize,
}

impl Growth {
    /// How many there are to be at `now`.
    fn wanted(&self, now: Instant) -> usize {
        let part = now.saturating_duration_since(self.start).as_secs_f64() / self.over.as_secs_f64();
        let more = ((self.to - self.from) as f64 * part.min(1.0)).floor() as usize;
        self.from + more
    }

    /// When the one after `count` is to be opened; `None` if there are enough.
    fn next_at(&self, count: usize) -> Option<Instant> {
        let part = (count + 1 - self.from) as f64 / (self.to - self.from) as f64;
        (count < self.to).then(|| self.start + self.over.mul_f64(part))
    }
}

impl Swarm {
    /// Does as it is told, with at most `at_once` connects or closes under way; every client sends at `pace`, which
    /// counts the clients to come too. Adds all latencies to `latencies`.
    pub(crate) fn grow(
        &mut self,
        pace: Pace,
        at_once: usize,
        orders: &Receiver<Order>,
        latencies: &Mutex<Histogram<u64>>,
    ) -> Result<()> {
        self.clients.resize_with(pace.clients, || None);
        let mut schedule = Schedule::new(pace);
        let mut growth = Growth { start: Instant::now(), over: Duration::from_secs(1), from: 0, to: 0 };
        let (mut started, mut pending, mut last_opened) = (0, 0, Instant::now());
        loop {
            interrupt::check()?;
            match orders.try_recv() {
                Ok(Order::Open { count, over }) => {
                    ensure!((started..=pace.clients).contains(&count), "told to open {count} of {}", pace.clients);
                    growth = Growth { start: Instant::now(), over, from: started, to: count };
                }
                Ok(Order::Leave) => break,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => bail!("nobody leads any more"),
            }
            while started < growth.wanted(Instant::now()) && pending < at_once {
                self.open(started)?;
                (started, pending) = (started + 1, pending + 1);
            }
            self.send_due(&mut schedule)?;
            let next_open = growth.next_at(started).filter(|_| pending < at_once);
            let next = schedule.next_at().min(Instant::now() + LISTEN_EVERY);
            self.wait_until(next_open.map_or(next, |at| at.min(next)))?;
            let opened = self.take_answers(pace.every, latencies)?;
            if opened > 0 || pending == 0 {
                last_opened = Instant::now();
            }
            pending -= opened;
            ensure!(last_opened.elapsed() < PATIENCE, "{pending} handshakes take more than {PATIENCE:?}");
        }
        ensure!(pending == 0, "told to leave while {pending} handshakes are under way");
        self.leave(started, pace.every, at_once, latencies)
    }

    fn leave(
        &mut self,
        count: usize,
        every: Duration,
        at_once: usize,
        latencies: &Mutex<Histogram<u64>>,
    ) -> Result<()> {
        let start = Instant::now();
        while self.under_way > 0 {
            interrupt::check()?;
            ensure!(start.elapsed() < PATIENCE, "{} answers are missing after {PATIENCE:?}", self.under_way);
            self.wait_until(Instant::now() + LISTEN_EVERY)?;
            ensure!(self.take_answers(every, latencies)? == 0, "a handshake after the end");
        }
        self.clients.truncate(count);
        self.close(at_once)
    }

    /// Records the answers that came; answers how many clients were opened.
    fn take_answers(&mut self, every: Duration, latencies: &Mutex<Histogram<u64>>) -> Result<usize> {
        let mut opened = 0;
        if self.steps.is_empty() {
            return Ok(opened);
        }
        let mut latencies = latencies.lock().map_err(|_| anyhow!("the thread that reports has panicked"))?;
        for (slot, step) in std::mem::take(&mut self.steps) {
            match step {
                Step::Opened(_) => opened += 1,
                Step::Answered(time) => {
                    latency::record(&mut latencies, time);
                    self.catch_up(slot, every)?;
                }
                Step::Heard(..) | Step::Closed(_) => bail!("a client that should stay: {step:?}"),
            }
        }
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_even_and_ends() {
        let start = Instant::now();
        let growth = Growth { start, over: Duration::from_secs(60), from: 100, to: 700 };
        let after = |seconds| growth.wanted(start + Duration::from_secs(seconds));
        assert_eq!([after(0), after(1), after(30), after(60), after(600)], [100, 110, 400, 700, 700]);
        assert_eq!(growth.next_at(109), Some(start + Duration::from_secs(1)));
        assert_eq!(growth.next_at(700), None);
        let none = Growth { start, over: Duration::from_secs(1), from: 0, to: 0 };
        assert_eq!((none.wanted(start), none.next_at(0)), (0, None));
    }
}
