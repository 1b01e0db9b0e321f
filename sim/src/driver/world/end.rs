//! How a world ends: everybody is served once more, leaves, and nothing is left.

use std::time::Duration;

use super::World;
use super::stage::Phase;
use crate::model::Observation;
use crate::scenario::Outcome;

/// Longer than a DELETE pauses between its repeats.
const SOON: Duration = Duration::from_secs(90);

impl World<'_> {
    /// The faults are over: from now on everything has to work.
    pub(crate) fn finish(mut self, outcome: &mut Outcome) -> Result<(), String> {
        let result = self.end();
        // Also what went before an error is worth knowing.
        self.stage.finish(outcome);
        result
    }

    fn end(&mut self) -> Result<(), String> {
        self.stage.phase.set(Phase::Last);
        let clients = u64::from(self.stage.plan.clients);
        self.run_until("every client has the answer to its last message", SOON, |world| {
            world.stage.counted("clients served at the last") == clients
        })?;
        let pushers = u64::from(self.stage.plan.pushers);
        self.run_until("no control request is under way", SOON, |world| {
            world.stage.counted("pushers that have ended") == pushers
        })?;
        self.run(Duration::from_secs(1))?;
        for process in self.stage.running() {
            self.stage.tell(process, Observation::Settled);
        }
        self.stage.phase.set(Phase::Leave);
        let leaving = clients + u64::from(self.stage.plan.rogues);
        self.run_until("every client has left", SOON, |world| {
            world.stage.counted("clients that have left") == leaving
        })?;
        self.backend.scrapes.set(true);
        self.run_until("nothing is left in the gateways", SOON, |world| world.backend.left.get() == Some(0))?;
        self.backend.scrapes.set(false);
        self.run(Duration::from_secs(1))?;
        let running = self.stage.ring.borrow().clone();
        for gateway in running {
            self.drain_gateway(gateway)?;
        }
        Ok(())
    }
}
