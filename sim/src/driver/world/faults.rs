//! What can be broken in a world, and mended.

use std::time::Duration;

use super::{World, gateway_name, host_name};
use crate::model::{Misbehaviour, Observation};

impl World<'_> {
    /// What gateways and API send each other takes so long from now on.
    pub(crate) fn set_api_latency(&mut self, latency: Duration) {
        self.for_gateways(|sim, gateway| sim.set_link_latency(gateway, "api", latency));
        self.stage.count("changes of the API's latency");
    }

    /// From now on, or no more, may calls get lost on their way, or answers. Before a fault what is on its way has to
    /// arrive, and after one what was caught in it has to time out.
    pub(crate) fn api_faults(&mut self, on: bool) -> Result<(), String> {
        let plan = &self.stage.plan;
        let (way, timeout) = (plan.api_latency, plan.config.api_timeout);
        if !on {
            self.run(timeout + 4 * way)?;
            // Whose connection lost something in a cut is not told that its caller has gone.
            self.stage.end_flights_before(self.mended);
        }
        for process in self.stage.running() {
            self.stage.tell(process, Observation::ApiFaults(on));
        }
        if on {
            self.run(4 * way)?;
        }
        Ok(())
    }

    /// The API's process ends.
    pub(crate) fn crash_api(&mut self) {
        self.api.dying.set(true);
        self.sim.crash("api");
        self.api.dying.set(false);
        self.stage.count("crashes of the API");
    }

    /// The API is started again.
    pub(crate) fn start_api(&mut self) {
        self.sim.bounce("api");
    }

    /// Gateways and API do not reach each other.
    pub(crate) fn part_api(&mut self) {
        self.for_gateways(|sim, gateway| sim.partition(gateway, "api"));
        self.stage.count("partitions of the API");
        (0..self.stage.flights()).for_each(|_| self.stage.count("calls cut off"));
    }

    /// They do again.
    pub(crate) fn mend_api(&mut self) {
        self.for_gateways(|sim, gateway| sim.repair(gateway, "api"));
        self.mended = self.stage.now();
    }

    /// What gateways and API send each other waits, for less than a call may take.
    pub(crate) fn hold_api(&mut self) {
        self.for_gateways(|sim, gateway| sim.hold(gateway, "api"));
        self.stage.count("stalls of the API's network");
    }

    /// It goes on.
    pub(crate) fn release_api(&mut self) {
        self.for_gateways(|sim, gateway| sim.release(gateway, "api"));
    }

    fn for_gateways(&mut self, act: impl Fn(&turmoil::Sim<'_>, &str)) {
        for gateway in 0..self.gateways.len() {
            act(&self.sim, &gateway_name(gateway));
        }
    }

    /// A host of clients loses its network; nothing of what is on its way arrives.
    pub(crate) fn cut(&mut self, host: usize) {
        let name = host_name(host);
        self.for_gateways(|sim, gateway| sim.partition(gateway, name.as_str()));
        let cut = self.stage.cut(host);
        (0..cut).for_each(|_| self.stage.count("sockets cut"));
    }

    /// It has it again.
    pub(crate) fn mend(&mut self, host: usize) {
        let name = host_name(host);
        self.for_gateways(|sim, gateway| sim.repair(gateway, name.as_str()));
    }

    /// What a host of clients sends and is sent waits.
    pub(crate) fn hold(&mut self, host: usize) {
        self.mark_late(host);
        let name = host_name(host);
        self.for_gateways(|sim, gateway| sim.hold(gateway, name.as_str()));
        self.stage.count("stalls of clients' networks");
    }

    /// It goes on.
    pub(crate) fn release(&mut self, host: usize) {
        // Also those that were dialled meanwhile.
        self.mark_late(host);
        let name = host_name(host);
        self.for_gateways(|sim, gateway| sim.release(gateway, name.as_str()));
    }

    /// What a host of clients sends and is sent takes so long from now on.
    pub(crate) fn set_latency(&mut self, host: usize, latency: Duration) {
        let name = host_name(host);
        self.for_gateways(|sim, gateway| sim.set_link_latency(gateway, name.as_str(), latency));
        self.stage.count("changes of latency");
    }

    /// Every client ends its socket now, and comes back at once.
    pub(crate) fn storm(&mut self) {
        self.stage.storm.notify_waiters();
        self.stage.count("storms");
    }

    fn mark_late(&mut self, host: usize) {
        for (socket, process) in self.stage.sockets(Some(host)) {
            self.stage.tell(process, Observation::Misbehaves(socket, Misbehaviour::Silent));
            self.stage.tell(process, Observation::Misbehaves(socket, Misbehaviour::NotReading));
        }
    }

    /// A gateway loses its power: nobody is told.
    pub(crate) fn kill_gateway(&mut self, gateway: usize) {
        let process = self.stage.process(gateway);
        let name = gateway_name(gateway);
        self.stage.ring.borrow_mut().retain(|other| *other != gateway);
        for host in 0..self.stage.plan.hosts {
            self.sim.partition(name.as_str(), host_name(host).as_str());
        }
        self.sim.partition(name.as_str(), "api");
        self.sim.partition(name.as_str(), "backend");
        self.stage.tell(process, Observation::Killed);
        self.stage.over(process);
        self.stage.end_flights_of(process);
        self.sim.crash(name.as_str());
        self.stage.count("gateways killed");
    }

    /// A gateway is told to end, and ends.
    pub(crate) fn drain_gateway(&mut self, gateway: usize) -> Result<(), String> {
        let process = self.stage.process(gateway);
        self.stage.ring.borrow_mut().retain(|other| *other != gateway);
        self.stage.tell(process, Observation::DrainBegun);
        self.gateways[gateway].drain();
        let config = &self.stage.plan.config;
        let longest = config.drain + config.close_timeout + config.api_timeout + Duration::from_secs(1);
        self.run_until("the drain ends", longest, |world| !world.sim.is_host_running(gateway_name(gateway)))?;
        self.stage.tell(process, Observation::Drained);
        self.stage.over(process);
        self.stage.count("gateways drained");
        Ok(())
    }

    /// A gateway that has ended is started again.
    pub(crate) fn restart_gateway(&mut self, gateway: usize) {
        let name = gateway_name(gateway);
        for host in 0..self.stage.plan.hosts {
            self.sim.repair(name.as_str(), host_name(host).as_str());
        }
        self.sim.repair(name.as_str(), "api");
        self.sim.repair(name.as_str(), "backend");
        self.stage.started(gateway);
        self.sim.bounce(name.as_str());
        self.stage.ring.borrow_mut().push(gateway);
        self.stage.count("gateways started again");
    }
}
