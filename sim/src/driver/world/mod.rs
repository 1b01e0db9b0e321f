//! Worlds in which things go wrong, watched by the reference model.
//!
//! A scenario makes a [`World`], lets time pass, breaks and mends things, and in the end has everybody
//! served once more and sent home: [`World::finish`].
//!
//! - `stage.rs`: what all hosts share, and the models; `plan.rs`: what a world is made of;
//! - `client.rs`, `acts.rs`, `rogue.rs`: clients; `api.rs`, `backend.rs`: the API, and those who push;
//! - `faults.rs`: what can be broken; `end.rs`: how a world ends.

mod acts;
mod api;
mod backend;
mod client;
mod end;
mod faults;
mod plan;
mod rogue;
mod stage;

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;
use turmoil::Sim;
use ws2http_core::{Report, Timestamp};

pub(crate) use super::net::MAX_LATENCY;
pub(crate) use api::{Api, Mood};
pub(crate) use plan::Plan;
pub(crate) use stage::Stage;

use super::gateway::Gateway;
use super::net::network;
use super::panics;
use crate::model::Observation;
use backend::Backend;
use client::{Client, Kind};

/// A simulated world.
pub(crate) struct World<'a> {
    pub(crate) sim: Sim<'a>,
    pub(crate) stage: Rc<Stage>,
    pub(crate) api: Rc<Api>,
    backend: Rc<Backend>,
    gateways: Vec<Rc<Gateway>>,
    panicked: u64,
    /// When gateways and API could reach each other again the last time.
    mended: Timestamp,
}

/// The host of a gateway.
pub(crate) fn gateway_name(gateway: usize) -> String {
    format!("gateway-{gateway}")
}

/// A host of clients.
pub(crate) fn host_name(host: usize) -> String {
    format!("clients-{host}")
}

/// The ClientId of a client.
pub(crate) fn client_name(number: u32) -> String {
    format!("client-{number}")
}

impl World<'_> {
    /// Sets it up; its time begins with the first [`World::run`].
    pub(crate) fn new(plan: Plan, trace: bool) -> Self {
        panics::watch();
        let mut sim = network(plan.seed, plan.capacity);
        let stage = Stage::new(plan, trace);
        let api = Api::new(Rc::clone(&stage));
        let backend = Backend::new(Rc::clone(&stage));
        let software = Rc::clone(&api);
        sim.host("api", move || super::http::serve(Rc::clone(&software)));
        let software = Rc::clone(&backend);
        sim.host("backend", move || Rc::clone(&software).run());
        let panicked = panics::count();
        let mut world = World { sim, stage, api, backend, gateways: Vec::new(), panicked, mended: Timestamp::ZERO };
        for _ in world.stage.plan.spare..world.stage.plan.gateways {
            world.add_gateway();
        }
        for host in 0..world.stage.plan.hosts {
            world.add_clients(host);
        }
        world
    }

    /// Starts one more gateway.
    pub(crate) fn add_gateway(&mut self) {
        let (plan, index) = (&self.stage.plan, self.gateways.len());
        let seed = plan.seed ^ ((index as u64 + 1) << 40);
        let gateway = Gateway::new(plan.config.clone(), plan.shards, seed);
        self.gateways.push(Rc::clone(&gateway));
        self.stage.started(index);
        self.stage.ring.borrow_mut().push(index);
        self.sim.host(gateway_name(index), move || Rc::clone(&gateway).run());
        self.sim.set_link_max_message_latency(gateway_name(index), "api", self.stage.plan.api_latency);
    }

    fn add_clients(&mut self, host: usize) {
        let stage = Rc::clone(&self.stage);
        self.sim.host(host_name(host), move || {
            let stage = Rc::clone(&stage);
            async move {
                let plan = &stage.plan;
                for number in (0..plan.clients).filter(|number| *number as usize % plan.hosts == host) {
                    let client = Client {
                        host,
                        name: client_name(number),
                        kind: kind(plan, number),
                        rng: plan.rng(b'c', number.into()),
                        served: false,
                        forgotten: Vec::new(),
                        stage: Rc::clone(&stage),
                    };
                    let comes = plan.ramp.mul_f64(f64::from(number) / f64::from(plan.clients));
                    spawn_local(async move {
                        sleep(comes).await;
                        client.run().await;
                    });
                }
                for number in (0..plan.rogues).filter(|number| *number as usize % plan.hosts == host) {
                    spawn_local(rogue::run(Rc::clone(&stage), host, number));
                }
                std::future::pending().await
            }
        });
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) -> Result<(), String> {
        for _ in 0..time.as_millis() {
            self.step()?;
        }
        Ok(())
    }

    /// One simulated millisecond.
    fn step(&mut self) -> Result<(), String> {
        self.stage.tick();
        self.sim.step().map_err(|error| format!("a host failed: {error}"))?;
        if panics::count() > self.panicked {
            return Err("a task panicked".to_owned());
        }
        for (index, gateway) in self.gateways.iter().enumerate() {
            let process = self.stage.process(index);
            for report in gateway.take_reports() {
                match report {
                    Report::CallFailed { .. } => self.stage.count("calls that failed, by the log"),
                    Report::DisconnectLost { connection, .. } => {
                        self.stage.count("DELETEs given up, by the log");
                        self.stage.tell(process, Observation::DisconnectLost(connection));
                    }
                    Report::MessagesLost { .. } => self.stage.count("drains that lost messages, by the log"),
                }
            }
        }
        Ok(())
    }

    /// Lets time pass until something is so.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        longest: Duration,
        done: impl Fn(&mut Self) -> bool,
    ) -> Result<(), String> {
        for _ in 0..longest.as_millis() {
            if done(self) {
                return Ok(());
            }
            self.step()?;
        }
        Err(format!("not so after {longest:?} at {}: {what}; {:?}", self.stage.now(), self.stage.counts()))
    }

    /// A fault that did not happen tests nothing.
    pub(crate) fn happened(&self, what: &'static str) -> Result<(), String> {
        match self.stage.counted(what) {
            0 => Err(format!("this did not happen: {what}; {:?}", self.stage.counts())),
            _ => Ok(()),
        }
    }
}

fn kind(plan: &Plan, number: u32) -> Kind {
    if number < plan.slow_readers {
        Kind::SlowReader
    } else if number < plan.slow_readers + plan.silent {
        Kind::Silent
    } else {
        Kind::Ordinary
    }
}
