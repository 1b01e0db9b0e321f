//! The course of a world: faults, rest, leaving, the last look.

use std::time::Duration;

use ws2http_core::Event;

use super::Feature;
use super::world::{MOST_STALLS, Phase, Step, World};
use crate::model::Observation;

/// How often it is looked whether all is at rest.
const LOOK: Duration = Duration::from_millis(100);

impl World {
    pub(super) fn begin(&mut self) {
        for place in 0..self.dials.len() {
            let time = self.draw.time(Duration::ZERO, 4 * self.plan.think);
            self.after(time, Step::Dial(place));
        }
        let operators = [Feature::Push, Feature::Kick, Feature::Head, Feature::Scrape, Feature::Junk];
        if operators.into_iter().any(|feature| self.has(feature)) {
            self.after(self.plan.think, Step::Operate);
        }
        if self.has(Feature::ApiDown) {
            for _ in 0..self.draw.between(1, 3) {
                let gone = self.moment();
                let back = gone + self.draw.time(Duration::from_millis(1), Duration::from_millis(1500));
                self.after(gone, Step::ApiDown(true));
                self.after(back, Step::ApiDown(false));
            }
        }
        if self.has(Feature::ShardStall) {
            for _ in 0..self.draw.between(1, MOST_STALLS.into()) {
                let shard = self.draw.below(self.shards.len() as u64) as usize;
                let (moment, time) = (self.moment(), self.draw.time(self.plan.stall.0, self.plan.stall.1));
                self.after(moment, Step::Stall(shard, time));
            }
        }
        if self.has(Feature::Drain) {
            let moment = self.moment();
            self.after(moment, Step::Drain);
        }
        self.after(self.plan.faults, Step::FaultsEnd);
    }

    /// Some moment while faults go on.
    fn moment(&mut self) -> Duration {
        self.draw.time(Duration::ZERO, self.plan.faults)
    }

    pub(super) fn start_drain(&mut self) {
        self.count("drain");
        self.see(Observation::DrainBegun);
        (0..self.shards.len()).for_each(|shard| self.tell(shard, Event::Drain));
    }

    pub(super) fn end_faults(&mut self) {
        self.note(|| "faults stop".to_owned());
        self.enter(Phase::Settling);
        self.api_down(false);
        self.clients_recover();
        self.reveal_vanished();
        self.after(LOOK, Step::Look);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_ends = self.now + self.patience();
    }

    /// A message has reached the API: while those that wait one behind the other get on, none of them is late.
    pub(super) fn got_on(&mut self) {
        if self.phase == Phase::Settling {
            self.enter(Phase::Settling);
        }
    }

    /// Longer than anything may take.
    fn patience(&self) -> Duration {
        let config = &self.plan.config;
        let once = config.handshake_timeout
            + config.pong_timeout
            + config.send_timeout
            + config.close_timeout
            + config.api_timeout
            + config.drain
            + config.ping_interval.unwrap_or_default();
        // Messages may wait one behind the other for their timeout.
        4 * once + config.disconnect_retry + config.keep_alive_timeout + Duration::from_secs(60)
    }

    pub(super) fn look(&mut self) {
        let late = self.now >= self.phase_ends;
        match self.phase {
            Phase::Settling if late || self.is_at_rest() => {
                self.see(Observation::Settled);
                self.clients_leave();
                self.controls_leave();
                self.enter(Phase::Leaving);
            }
            Phase::Leaving if late || self.is_empty() => {
                self.last_scrape();
                self.enter(Phase::Scraping);
            }
            Phase::Scraping if late || self.is_empty() => return self.enter(Phase::Over),
            Phase::Faults | Phase::Settling | Phase::Leaving | Phase::Scraping | Phase::Over => {}
        }
        self.after(LOOK, Step::Look);
    }

    /// Nothing is on its way to or from those who are still there.
    fn is_at_rest(&self) -> bool {
        let still = |shard: usize| {
            let held = self.holdings(shard);
            held.calls_in_flight + held.calls_waiting + held.messages + held.send_bytes == 0
        };
        self.calls_under_way() == 0
            && self.nobody_dials()
            && (0..self.shards.len()).all(still)
            && self.pipes.iter().all(super::pipe::Pipe::is_at_rest)
    }

    fn is_empty(&self) -> bool {
        let empty = |shard: usize| {
            let held = self.holdings(shard);
            held.sockets + held.sessions + held.calls_in_flight + held.calls_waiting == 0
        };
        self.calls_under_way() == 0
            && (0..self.shards.len()).all(empty)
            && !self.pipes.iter().any(super::pipe::Pipe::is_between)
    }

    /// The queue has run dry: no timer is left.
    pub(super) fn end(&mut self) {
        for shard in 0..self.shards.len() {
            let holdings = self.holdings(shard);
            self.see(Observation::Holdings(holdings));
        }
        self.model.finish(self.now);
    }
}
