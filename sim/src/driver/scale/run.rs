//! Builds the world of the scale run, steps through it, and judges it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use turmoil::Sim;
use ws2http_core::{ApiAddress, Config};

use super::Scale;
use super::api::{Api, Gauges};
use super::clients::Clients;
use super::ledger::{Ledger, Totals};
use super::record::{Percentiles, Second};
use crate::driver::gateway::Gateway;
use crate::driver::net::network;
use crate::driver::{panics, process};

/// Hosts cost time with each step, connections from one host with each connect: a balance of both.
const CLIENTS_PER_HOST: u32 = 30_000;
const MIN_HOSTS: u32 = 16;

/// How long the gateway may take to become quiet after the last client has left, in milliseconds.
const QUIET_WITHIN: u32 = 10_000;

/// Calls and messages that may wait in the gateway, for each message in a second. More is a queue that grows.
const WAITING_SECONDS: f64 = 0.25;

struct World<'a> {
    scale: &'a Scale,
    sim: Sim<'a>,
    ledger: Rc<RefCell<Ledger>>,
    gateway: Rc<Gateway>,
    api: Rc<Api>,
    started: Instant,
    cpu_before: Duration,
    seconds: Vec<Second>,
    before: Totals,
}

/// What came of a run in which no law was broken.
pub(crate) struct Report {
    pub(crate) totals: Totals,
    pub(crate) seconds: Vec<Second>,
    /// Connections that the gateway opened to the API.
    pub(crate) lanes: u64,
    /// A digest of all that happened.
    pub(crate) trace: u64,
}

/// Runs it, and tells `progress` of each simulated second.
///
/// # Errors
///
/// What law was broken, or what failed; the text may have several lines.
pub(crate) fn run(scale: &Scale, mut progress: impl FnMut(&Second)) -> Result<Report, String> {
    panics::watch();
    let panicked = panics::count();
    let mut world = World::new(scale);
    world.steps_until_everybody_left(&mut progress)?;
    world.becomes_quiet(&mut progress)?;
    world.drains(&mut progress)?;
    world.ledger.borrow_mut().check_complete();
    world.judge()?;
    if panics::count() > panicked {
        return Err("a task panicked".to_owned());
    }
    let ledger = world.ledger.borrow();
    let lanes = world.api.peers.borrow().len() as u64;
    let (totals, trace) = (ledger.totals, ledger.trace());
    Ok(Report { totals, seconds: std::mem::take(&mut world.seconds), lanes, trace })
}

impl<'a> World<'a> {
    fn new(scale: &'a Scale) -> World<'a> {
        let mut sim = network(scale.seed, 1024);
        let mut config = Config::new(ApiAddress::parse("http://api:8000/").expect("an address"));
        config.max_connections = scale.connections as usize + 1000;
        let gateway = Gateway::new(config, scale.shards, scale.seed);
        let ledger = Rc::new(RefCell::new(Ledger::new(scale.connections)));
        let api = Api::new(scale.clone(), Rc::clone(&ledger));
        let software = Rc::clone(&api);
        sim.host("api", move || Rc::clone(&software).run());
        let software = Rc::clone(&gateway);
        sim.host("gateway", move || Rc::clone(&software).run());
        sim.set_link_latency("gateway", "api", Duration::from_millis(1));
        let hosts = scale.connections.div_ceil(CLIENTS_PER_HOST).max(MIN_HOSTS);
        for first in 0..hosts {
            let clients = Clients { scale: scale.clone(), first, hosts, ledger: Rc::clone(&ledger) };
            sim.client(format!("clients-{first}"), clients.run());
        }
        World {
            scale,
            sim,
            ledger,
            gateway,
            api,
            started: Instant::now(),
            cpu_before: process::cpu(),
            seconds: Vec::new(),
            before: Totals::default(),
        }
    }

    fn now(&self) -> u32 {
        self.ledger.borrow().now
    }

    fn everybody_left(&self) -> bool {
        self.ledger.borrow().totals.left == u64::from(self.scale.connections)
    }

    /// One simulated millisecond.
    fn step(&mut self, progress: &mut impl FnMut(&Second)) -> Result<(), String> {
        self.ledger.borrow_mut().now += 1;
        self.sim.step().map_err(|error| format!("a host failed: {error}"))?;
        if self.now().is_multiple_of(1000) {
            self.record(progress);
            self.judge()?;
        }
        Ok(())
    }

    fn steps_until_everybody_left(&mut self, progress: &mut impl FnMut(&Second)) -> Result<(), String> {
        let scale = self.scale;
        // Who has not left a minute after the last one should have will not leave at all.
        let end = Scale::millis(scale.ramp + scale.hold + scale.leave + Duration::from_secs(60));
        while !self.everybody_left() {
            if self.now() >= end {
                let left = self.ledger.borrow().totals.left;
                return Err(format!("only {left} of {} clients have left", scale.connections));
            }
            self.step(progress)?;
        }
        Ok(())
    }

    /// With nobody there, nothing is left in the gateway but the control connections.
    fn becomes_quiet(&mut self, progress: &mut impl FnMut(&Second)) -> Result<(), String> {
        let (_, read) = self.api.gauges.get();
        let end = self.now() + QUIET_WITHIN;
        loop {
            let (gauges, count) = self.api.gauges.get();
            if count > read + 1 && (Gauges { sockets: 0, ..gauges }) == Gauges::default() {
                break;
            }
            if self.now() >= end {
                return Err(format!("everybody has left, but the gateway still has {gauges:?}"));
            }
            self.step(progress)?;
        }
        Ok(())
    }

    /// Without clients a drain ends at once, and with it the gateway.
    fn drains(&mut self, progress: &mut impl FnMut(&Second)) -> Result<(), String> {
        self.api.stop();
        self.gateway.drain();
        let end = self.now() + QUIET_WITHIN;
        while self.sim.is_host_running("gateway") {
            if self.now() >= end {
                return Err("the drain of the gateway does not end".to_owned());
            }
            self.step(progress)?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), String> {
        let violations = self.ledger.borrow().violations();
        if !violations.is_empty() {
            return Err(violations);
        }
        if let Some(report) = self.gateway.take_reports().first() {
            return Err(format!("the gateway's log says: {report:?}"));
        }
        let (gauges, _) = self.api.gauges.get();
        let rate = f64::from(self.scale.connections) / self.scale.every.as_secs_f64();
        if gauges.waiting as f64 > 100.0 + WAITING_SECONDS * rate {
            return Err(format!("a queue grows in the gateway: {gauges:?}"));
        }
        Ok(())
    }

    fn record(&mut self, progress: &mut impl FnMut(&Second)) {
        let mut ledger = self.ledger.borrow_mut();
        let totals = ledger.totals;
        let latency = Percentiles::of(&ledger.latencies);
        ledger.latencies.fill(0);
        let second = Second {
            at: ledger.now / 1000,
            connections: totals.opened - totals.left,
            messages: totals.echoed - self.before.echoed,
            pushes: totals.pushes_received - self.before.pushes_received,
            latency,
            waiting: self.api.gauges.get().0.waiting,
            resident: process::resident().0,
            wall: self.started.elapsed(),
            cpu: process::cpu().saturating_sub(self.cpu_before),
        };
        self.before = totals;
        progress(&second);
        self.seconds.push(second);
    }
}
