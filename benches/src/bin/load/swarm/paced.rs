//! Messages at a fixed rate, whether the answers are in time or not.
//!
//! A client has one message under way. One that is due before the answer to the last one is sent right after that
//! answer, and its latency counts from when it was due: a server that stalls cannot hide it by holding up its load.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::event::Event;

use super::{PATIENCE, Swarm, TURN, Window};
use crate::client::Step;
use crate::interrupt;
use crate::latency;

/// From `start` on each of so many clients is due once `every`, all at equal distances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) start: Instant,
    pub(crate) every: Duration,
    pub(crate) clients: usize,
}

impl Pace {
    /// When the client of this turn is due; turns count from 0.
    pub(super) fn at(&self, turn: u64) -> Instant {
        let nanoseconds = self.every.as_nanos() * u128::from(turn) / self.clients as u128;
        self.start + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Whose turn it is, and when.
pub(super) struct Schedule {
    pace: Pace,
    /// Distance between the slots of two clients that are due one after the other: has no factor in common with
    /// their number, so that every slot has its turn, and is large, so that those opened first are spread out.
    step: u64,
    turn: u64,
}

impl Schedule {
    pub(super) fn new(pace: Pace) -> Schedule {
        let clients = pace.clients as u64;
        let golden = (clients as f64 * 0.618_034) as u64;
        let step = (golden.max(1)..).find(|step| gcd(*step, clients) == 1).unwrap_or(1);
        Schedule { pace, step, turn: 0 }
    }

    /// When the next client is due.
    pub(super) fn next_at(&self) -> Instant {
        self.pace.at(self.turn)
    }

    /// The slot of a client that is due by `now`, and when it was.
    pub(super) fn take(&mut self, now: Instant) -> Option<(usize, Instant)> {
        let due = self.next_at();
        if due > now {
            return None;
        }
        let slot = self.turn * self.step % self.pace.clients as u64;
        self.turn += 1;
        Some((slot as usize, due))
    }
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

impl Swarm {
    /// Every client sends its messages at `pace`, until `end`.
    ///
    /// Answers the latencies of the messages that were due within the window.
    pub(crate) fn paced(&mut self, pace: Pace, window: Window, end: Instant) -> Result<Histogram<u64>> {
        let mut latencies = latency::histogram();
        let mut schedule = Schedule::new(pace);
        while Instant::now() < end || self.under_way > 0 {
            interrupt::check()?;
            if Instant::now() < end {
                self.send_due(&mut schedule)?;
                self.wait_until(schedule.next_at().min(end))?;
            } else {
                ensure!(end.elapsed() < PATIENCE, "{} answers are missing after {PATIENCE:?}", self.under_way);
                self.turn(TURN)?;
            }
            for (slot, step) in std::mem::take(&mut self.steps) {
                let Step::Answered(time) = step else { bail!("a client that sends at a pace: {step:?}") };
                if Instant::now().checked_sub(time).is_some_and(|due| window.has(due)) {
                    latency::record(&mut latencies, time);
                }
                self.catch_up(slot, pace.every)?;
            }
        }
        Ok(latencies)
    }

    /// Sends what is due by now.
    pub(super) fn send_due(&mut self, schedule: &mut Schedule) -> Result<()> {
        while let Some((slot, due)) = schedule.take(Instant::now()) {
            let Some(client) = &mut self.clients[slot] else { continue };
            if client.send_due(due, &mut self.scratch)? {
                self.count_sent();
            } else if let Some(since) = client.waits_since() {
                let waits = since.elapsed();
                ensure!(waits < PATIENCE, "the client in slot {slot} waits for an answer for {waits:.1?}");
            }
        }
        Ok(())
    }

    /// After an answer in `slot`: the client sends the next message, if it was due in the meantime.
    pub(super) fn catch_up(&mut self, slot: usize, every: Duration) -> Result<()> {
        let client = self.clients[slot].as_mut().context("an answer to a closed client")?;
        if client.catch_up(every, &mut self.scratch)? {
            self.count_sent();
        }
        Ok(())
    }

    /// Handles the sockets that are ready, or waits for one, until `at` at most.
    pub(super) fn wait_until(&mut self, at: Instant) -> Result<()> {
        self.wait_until_with(at, |_| Ok(()))
    }

    /// The same; `other` handles events of tokens that are not clients'.
    pub(super) fn wait_until_with(&mut self, at: Instant, other: impl FnMut(&Event) -> Result<()>) -> Result<()> {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return self.turn_with(Duration::ZERO, other);
        }
        if left < TURN {
            self.timer.set(left)?;
        }
        self.turn_with(TURN, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_a_turn_at_equal_distances() {
        for clients in [1, 2, 7, 10, 1000, 17_857] {
            let start = Instant::now();
            let every = Duration::from_secs(10);
            let mut schedule = Schedule::new(Pace { start, every, clients });
            let mut turns = vec![0; clients];
            let mut last = None;
            while let Some((slot, due)) = schedule.take(start + every * 2 - Duration::from_nanos(1)) {
                turns[slot] += 1;
                let gap = last.map_or(every / clients as u32, |last| due - last);
                assert!(gap.abs_diff(every / clients as u32) <= Duration::from_nanos(1), "{gap:?}");
                last = Some(due);
            }
            assert!(turns.iter().all(|turns| *turns == 2), "{clients} clients");
        }
    }

    #[test]
    fn the_clients_opened_first_are_not_due_all_at_once() {
        let start = Instant::now();
        let pace = Pace { start, every: Duration::from_secs(10), clients: 1000 };
        let mut schedule = Schedule::new(pace);
        let mut per_second = [0; 10];
        while let Some((slot, due)) = schedule.take(start + pace.every - Duration::from_nanos(1)) {
            if slot < 100 {
                per_second[(due - start).as_secs() as usize] += 1;
            }
        }
        assert!(per_second.iter().all(|count| (7..=13).contains(count)), "{per_second:?}");
    }
}
