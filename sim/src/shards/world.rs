//! A world: the shards, everybody who talks to them, and the time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ws2http_core::{CallError, CallId, Event, Gateway, HandOff, RouteMessage, ShardId, Shared, Timestamp};

use super::api::Api;
use super::client::Client;
use super::control::ControlConn;
use super::pipe::{Pipe, PipeId};
use super::queue::Queue;
use super::shard::Shard;
use super::{Feature, Plan};
use crate::draw::Draw;
use crate::model::{ApiId, ControlId, Model, Observation, Settings};

/// Lines of a trace are cut here.
const LINE: usize = 400;

/// After so many events a world is taken for one that never comes to rest.
const MOST_EVENTS: u64 = 2_000_000;

/// So often shards stand still in a world.
pub(super) const MOST_STALLS: u32 = 3;

/// What can be planned.
#[derive(Debug)]
pub(super) enum Step {
    /// A socket is accepted.
    Accept(PipeId),
    /// Bytes arrive at the gateway's machine.
    Arrive(PipeId),
    /// The gateway's task for a socket runs.
    Read(PipeId),
    /// A socket that was full has room.
    Write(PipeId),
    /// Bytes arrive at the client.
    Deliver(PipeId),
    /// A shard's timer.
    Wake(usize),
    /// A shard's timer, for nothing.
    WakeEarly(usize),
    /// A call's end reaches its shard.
    Reply(usize, CallId, Result<Response<Bytes>, CallError>),
    /// A message of another shard.
    Routed(usize, RouteMessage),
    /// A socket of another shard.
    Adopt(usize, PipeId, Box<HandOff>),
    /// A call reaches the API.
    ApiArrive(usize, CallId),
    /// The API ends a request.
    ApiAct(ApiId),
    /// The API sees that a call was given up.
    ApiNotice(ApiId),
    /// The API goes away, or comes back.
    ApiDown(bool),
    /// A client connects.
    Dial(usize),
    /// A client does something.
    Act(usize),
    /// A client that had stopped reading goes on.
    Resume(usize),
    /// A network that stood still goes on.
    Release(PipeId),
    /// Somebody sends control requests.
    Operate,
    /// A driver's late word about a socket that is no more.
    Stale(usize, ws2http_core::ConnId, u8),
    /// A shard stands still.
    Stall(usize, Duration),
    /// The gateway is told to drain.
    Drain,
    /// Faults stop.
    FaultsEnd,
    /// Has all come to rest?
    Look,
}

/// How far a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Anything may happen.
    Faults,
    /// Faults have stopped; what is on its way arrives.
    Settling,
    /// Clients close.
    Leaving,
    /// Counters are looked at.
    Scraping,
    /// Nothing is left to do but to wait for the last timer.
    Over,
}

/// One world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) draw: Draw,
    pub(super) now: Timestamp,
    pub(super) phase: Phase,
    /// When the phase ends at the latest.
    pub(super) phase_ends: Timestamp,
    pub(super) queue: Queue<Step>,
    pub(super) shards: Vec<Shard>,
    pub(super) pipes: Vec<Pipe>,
    pub(super) places: BTreeMap<(usize, ws2http_core::ConnId), PipeId>,
    pub(super) api: Api,
    pub(super) clients: Vec<Client>,
    /// Connects made so far by each of the client's places.
    pub(super) dials: Vec<u64>,
    pub(super) controls: Vec<ControlConn>,
    pub(super) next_control: u32,
    /// Requests at the API that wait for the answer to a push.
    pub(super) pushing: BTreeMap<ControlId, ApiId>,
    pub(super) drained: usize,
    pub(super) model: Model,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) events: u64,
    /// What a client found wrong with the bytes it got.
    pub(super) faults: Vec<String>,
    tracing: bool,
    pub(super) trace: String,
}

impl World {
    pub(super) fn new(plan: Plan, draw: Draw, tracing: bool) -> World {
        let config = Arc::new(plan.config.clone());
        let shared = Arc::new(Shared::new(plan.shards));
        let now = Timestamp::from_micros(1_000_000);
        let shard =
            |shard| Shard::new(Gateway::new(Arc::clone(&config), ShardId(shard), Arc::clone(&shared), [7; 32], now));
        let shards = (0..plan.shards).map(shard).collect();
        let model = Model::new(settings(&plan));
        let dials = vec![0; plan.clients as usize];
        let phase_ends = now + plan.faults;
        World {
            plan,
            draw,
            now,
            phase: Phase::Faults,
            phase_ends,
            queue: Queue::new(),
            shards,
            pipes: Vec::new(),
            places: BTreeMap::new(),
            api: Api::default(),
            clients: Vec::new(),
            dials,
            controls: Vec::new(),
            next_control: 0,
            pushing: BTreeMap::new(),
            drained: 0,
            model,
            counts: BTreeMap::new(),
            events: 0,
            faults: Vec::new(),
            tracing,
            trace: String::new(),
        }
    }

    /// Lets everything happen.
    pub(super) fn run(&mut self) {
        self.begin();
        while let Some((at, step)) = self.queue.pop() {
            self.now = self.now.max(at);
            self.events += 1;
            if self.events > MOST_EVENTS {
                let phase = self.phase;
                self.faults.push(format!("the world has not come to rest after {MOST_EVENTS} events ({phase:?})"));
                return;
            }
            self.step(step);
            if !self.model.violations().is_empty() || !self.faults.is_empty() {
                // What follows a breach is no longer worth judging.
                return;
            }
        }
        self.end();
    }

    fn step(&mut self, step: Step) {
        let Some(step) = self.put_off(step) else { return };
        match step {
            Step::Accept(pipe) => self.accept(pipe),
            Step::Arrive(pipe) => self.arrive(pipe),
            Step::Read(pipe) => self.read(pipe),
            Step::Write(pipe) => self.write_again(pipe),
            Step::Deliver(pipe) => self.deliver(pipe),
            Step::Wake(shard) => self.wake(shard),
            Step::WakeEarly(shard) => self.tell(shard, Event::Timeout),
            Step::Reply(shard, call, result) => self.reply(shard, call, result),
            Step::Routed(shard, message) => self.tell(shard, Event::Routed(message)),
            Step::Adopt(shard, pipe, handoff) => self.adopt(shard, pipe, *handoff),
            Step::ApiArrive(shard, call) => self.api_arrive(shard, call),
            Step::ApiAct(id) => self.api_act(id),
            Step::ApiNotice(id) => self.api_notice(id),
            Step::ApiDown(down) => self.api_down(down),
            Step::Dial(place) => self.dial(place),
            Step::Act(client) => self.act(client),
            Step::Resume(client) => self.resume_reading(client),
            Step::Release(pipe) => self.release(pipe),
            Step::Operate => self.operate(),
            Step::Stale(shard, conn, which) => self.stale(shard, conn, which),
            Step::Stall(shard, time) => self.stall(shard, time),
            Step::Drain => self.start_drain(),
            Step::FaultsEnd => self.end_faults(),
            Step::Look => self.look(),
        }
        self.look_inside();
    }

    /// A shard that stands still does nothing until it goes on.
    fn put_off(&mut self, step: Step) -> Option<Step> {
        let shard = match &step {
            Step::Wake(shard)
            | Step::WakeEarly(shard)
            | Step::Reply(shard, ..)
            | Step::Routed(shard, _)
            | Step::Adopt(shard, ..)
            | Step::Stale(shard, ..) => Some(*shard),
            Step::Accept(pipe) | Step::Read(pipe) | Step::Write(pipe) => self.shard_of(*pipe),
            Step::Drain => (0..self.shards.len()).max_by_key(|shard| self.shards[*shard].stalled_until),
            Step::Arrive(_)
            | Step::Deliver(_)
            | Step::ApiArrive(..)
            | Step::ApiAct(_)
            | Step::ApiNotice(_)
            | Step::ApiDown(_)
            | Step::Dial(_)
            | Step::Act(_)
            | Step::Resume(_)
            | Step::Release(_)
            | Step::Operate
            | Step::Stall(..)
            | Step::FaultsEnd
            | Step::Look => None,
        };
        let until = shard.map(|shard| self.shards[shard].stalled_until).filter(|until| *until > self.now);
        let Some(until) = until else { return Some(step) };
        self.queue.push(until, step);
        None
    }

    pub(super) fn after(&mut self, time: Duration, step: Step) {
        self.queue.push(self.now + time, step);
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.plan.has(feature)
    }

    /// In so many of a hundred cases, if the feature is on and faults have not stopped.
    pub(super) fn chance(&mut self, feature: Feature, percent: u64) -> bool {
        let happens = self.phase == Phase::Faults && self.has(feature) && self.draw.percent(percent);
        if happens {
            self.count(feature.word());
        }
        happens
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Something can be seen from outside.
    pub(super) fn see(&mut self, observation: Observation) {
        self.note(|| format!("saw {observation:?}"));
        self.model.observe(self.now, observation);
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            let mut line = line();
            if line.len() > LINE {
                let end = (0..=LINE).rev().find(|end| line.is_char_boundary(*end)).unwrap_or_default();
                line.truncate(end);
                line.push_str(" ...");
            }
            // Writing to a String cannot fail.
            let _ = writeln!(self.trace, "{} {line}", self.now);
        }
    }
}

fn settings(plan: &Plan) -> Settings {
    let stall = if plan.has(Feature::ShardStall) { plan.stall.1 } else { Duration::ZERO };
    // What waits for a client passes a window at a time.
    let turns = 1 + (plan.config.send_queue + plan.config.max_message).min(40_000) / plan.window;
    Settings {
        config: plan.config.clone(),
        sees_missed_calls: true,
        // A call may be given back unsent three times before it goes.
        api_latency: 5 * plan.api_latency.1,
        client_latency: (1 + turns as u32) * plan.client_latency.1 + 2 * plan.shard_latency.1,
        // As many may follow each other without a break.
        timer_lateness: plan.lateness + MOST_STALLS * stall,
    }
}
