//! The reference model: what a gateway may be seen doing, by the wire contract alone.
//!
//! It is told what happened at the ends of the wires ([`Observation`]) and finds what a gateway that
//! keeps the contract cannot have done ([`Violation`]). It predicts nothing: where the contract, or the
//! uncertainty of what is still on its way, leaves room, everything in that room is accepted.
//!
//! - `api.rs`, `ended.rs`: requests at the API and their answers; `clients.rs`: what clients do and
//!   see; `delivery.rs`: what they hear, in which order; `control.rs`: pushes, kicks, questions;
//!   `closing.rs`: why a connection may end; `metrics.rs`, `limits.rs`: figures; `finish.rs`: the end.

mod api;
mod clients;
mod closing;
mod control;
mod delivery;
mod ended;
mod finish;
mod handshake;
mod limits;
mod metrics;
mod observation;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::BTreeMap;
use std::time::Duration;

pub use observation::{
    ApiAnswer, ApiEnding, ApiId, ApiRequest, ControlAnswer, ControlId, ControlRequest, Cut, DIAL_HEADER, Dial,
    HandshakeAnswer, Heard, Holdings, Misbehaviour, Missed, MissedCall, Observation, Operation, Payload, Sent,
    SocketId,
};
pub use settings::Settings;
pub use violation::{Law, Violation};

use metrics::Tally;
use state::{LifeId, State, Step};
use ws2http_core::Timestamp;

/// For so long a drain may wait for sockets, besides `--close-timeout` (section 8).
const DRAIN_LINGERS: Duration = Duration::from_secs(1);

/// Watches one gateway (one process: all its shards).
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    now: Timestamp,
    step: Step,
    state: State,
    tally: Tally,
    checks: BTreeMap<Law, u64>,
    violations: Vec<Violation>,
}

impl Model {
    /// For a gateway with these settings.
    pub fn new(settings: Settings) -> Self {
        Model {
            settings,
            now: Timestamp::ZERO,
            step: 0,
            state: State::default(),
            tally: Tally::default(),
            checks: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Something happened, now.
    ///
    /// # Panics
    ///
    /// If the time goes back, or an id is used that has not been introduced: the simulation is wrong then.
    pub fn observe(&mut self, at: Timestamp, observation: Observation) {
        assert!(at >= self.now, "observations come in order");
        self.now = at;
        self.step += 1;
        match observation {
            Observation::Dialled(socket, dial) => self.dialled(socket, dial),
            Observation::Answered(socket, answer) => self.handshake_answered(socket, answer),
            Observation::Sent(socket, sent) => self.sent(socket, sent),
            Observation::Heard(socket, heard) => self.heard(socket, heard),
            Observation::Cut(socket, cut) => self.cut(socket, cut),
            Observation::Closed(socket) => self.socket(socket).closed = true,
            Observation::Misbehaves(socket, how) => self.misbehaves(socket, how),
            Observation::ApiRequest(id, request) => self.api_request(id, request),
            Observation::ApiEnded(id, ending) => self.api_ended(id, ending),
            Observation::ApiMissed(missed) => self.api_missed(missed),
            Observation::ApiFaults(on) => {
                self.state.api_faults = on;
                self.state.had_api_faults |= on;
            }
            Observation::ControlAsked(id, request) => self.control_asked(id, request),
            Observation::ControlAnswered(id, answer) => self.control_answered(id, answer),
            Observation::ControlLost(id) => self.control_lost(id),
            Observation::Metrics(samples) => self.scraped(samples),
            Observation::DisconnectLost(connection) => self.disconnect_lost(&connection),
            Observation::DrainBegun => self.state.drain = self.state.drain.or(Some(at)),
            Observation::Drained => self.drained(),
            Observation::Killed => self.killed(),
            Observation::Holdings(holdings) => self.holds(holdings),
            Observation::Settled => self.settled(),
        }
    }

    /// The end: the clients have left, faults stopped long ago, all that had to happen has happened.
    pub fn finish(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        self.step += 1;
        self.finished();
    }

    /// All breaches so far, in the order they were seen.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How often each law was looked at: what was never looked at, was not tested.
    pub fn checks(&self) -> &BTreeMap<Law, u64> {
        &self.checks
    }

    /// Counts a check, and records the breach if it found one.
    fn judge(&mut self, law: Law, kept: bool, text: impl FnOnce() -> String) {
        *self.checks.entry(law).or_default() += 1;
        if !kept {
            self.violations.push(Violation { at: self.now, law, text: text() });
        }
    }

    fn socket(&mut self, id: SocketId) -> &mut state::Socket {
        self.state.sockets.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was not dialled"))
    }

    fn life(&mut self, id: LifeId) -> &mut state::Life {
        &mut self.state.lives[id]
    }

    fn client(&mut self, name: &str) -> &mut state::Client {
        if !self.state.clients.contains_key(name) {
            self.state.clients.insert(name.to_owned(), state::Client::default());
        }
        self.state.clients.get_mut(name).unwrap_or_else(|| unreachable!("it has just been inserted"))
    }

    /// When the drain gives everything up.
    fn drain_end(&self) -> Option<Timestamp> {
        let config = &self.settings.config;
        self.state.drain.map(|at| at + config.drain + config.close_timeout + config.api_timeout)
    }

    /// The drain has ended. For sockets it may wait somewhat longer than for calls.
    fn drained(&mut self) {
        self.state.drained = true;
        let rest = self.settings.config.close_timeout + DRAIN_LINGERS + self.api_slack();
        let limit = self.drain_end().map(|end| end + rest);
        let (began, now) = (self.state.drain, self.now);
        self.judge(Law::Drain, limit.is_some_and(|limit| now <= limit), || {
            format!("the drain that began at {began:?} has ended only now")
        });
    }

    /// What may be late by then: both ways to the API, and the gateway's timer.
    fn api_slack(&self) -> Duration {
        2 * self.settings.api_latency + self.settings.timer_lateness
    }

    /// The process is gone, and with it all that it owed.
    fn killed(&mut self) {
        self.state.lives.iter_mut().for_each(|life| life.finished = true);
        self.state.sockets.values_mut().for_each(|socket| socket.dead = true);
        for control in self.state.controls.values_mut() {
            control.lost |= control.answer.is_none();
        }
        for push in self.state.clients.values_mut().flat_map(|client| &mut client.pushes) {
            push.lost |= push.status.is_none();
        }
        self.state.drain = None;
        self.state.metrics = None;
        self.state.holdings.clear();
        self.tally = Tally::default();
    }
}

/// A message, shortened for a person.
fn show(payload: &Payload) -> String {
    let kind = if payload.text { "text" } else { "binary" };
    let start = String::from_utf8_lossy(&payload.body[..payload.body.len().min(40)]).into_owned();
    format!("{kind} of {} bytes {start:?}", payload.body.len())
}
