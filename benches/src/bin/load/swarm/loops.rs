//! The loops without a pace: as fast as it goes, or nothing at all.

use std::time::Instant;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use super::{Swarm, TURN, Window};
use crate::client::Step;
use crate::interrupt;
use crate::latency;

impl Swarm {
    /// Every client sends a message, and the next as soon as it has its answer, until `end`.
    ///
    /// Answers the latencies of the messages answered within the window.
    pub(crate) fn closed_loop(&mut self, window: Window, end: Instant) -> Result<Histogram<u64>> {
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
                if now >= end {
                    pending -= 1;
                    continue;
                }
                if window.has(now) {
                    latency::record(&mut latencies, time);
                }
                self.send(slot)?;
            }
        }
        Ok(latencies)
    }

    /// Opens, closes and opens again, `at_once` clients at a time, until `end`.
    ///
    /// Answers how long the openings within the window took.
    pub(crate) fn churn(&mut self, at_once: usize, window: Window, end: Instant) -> Result<Histogram<u64>> {
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
                        if window.has(now) {
                            latency::record(&mut took, time);
                        }
                        self.say_goodbye(slot)?;
                    }
                    Step::Closed(_) if now < end => self.open(slot)?,
                    Step::Closed(_) => pending -= 1,
                    Step::Answered(_) | Step::Heard(..) => bail!("a client that sent nothing: {step:?}"),
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
}
