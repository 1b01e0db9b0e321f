//! The reference model: what a gateway may be seen doing, by the wire contract alone.
//!
//! It is told what happened at the ends of the wires ([`Observation`]) and finds what a gateway that
//! keeps the contract cannot have done ([`Violation`]). It predicts nothing: where the contract, or the
//! uncertainty of what is still on its way, leaves room, everything in that room is accepted.

mod observation;
mod settings;
mod violation;

pub use observation::{
    ApiAnswer, ApiEnding, ApiId, ApiRequest, ControlAnswer, ControlId, ControlRequest, Cut, DIAL_HEADER, Dial,
    HandshakeAnswer, Heard, Holdings, Misbehaviour, Missed, MissedCall, Observation, Operation, Payload, Sent,
    SocketId,
};
pub use settings::Settings;
pub use violation::{Law, Violation};

use ws2http_core::Timestamp;

/// Watches one gateway (one process: all its shards).
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    now: Timestamp,
    violations: Vec<Violation>,
}

impl Model {
    /// For a gateway with these settings.
    pub fn new(settings: Settings) -> Self {
        Model { settings, now: Timestamp::ZERO, violations: Vec::new() }
    }

    /// Something happened, now.
    ///
    /// # Panics
    ///
    /// If the time goes back, or an id is used that has not been introduced: the simulation is wrong then.
    pub fn observe(&mut self, at: Timestamp, observation: Observation) {
        assert!(at >= self.now, "observations come in order");
        self.now = at;
        let _ = (&self.settings, observation);
    }

    /// The world has come to rest: faults have stopped long enough ago that everything should have
    /// settled. Checks what must have happened by now.
    pub fn finish(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    /// All breaches so far, in the order they were seen.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}
