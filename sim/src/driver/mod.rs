//! Tier 2: the real tokio driver in a simulated network.
//!
//! Everything but the network is real: the shipped workers, several shards of a gateway in one host;
//! clients that speak by async-tungstenite, an implementation of its own; an API on hyper.

mod gateway;
mod http;
mod memory;
mod net;
mod panics;
mod scale;
mod settings;
mod websocket;

use crate::scenario::{Scenario, Tier};

/// What this tier has to show.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "scale",
    tier: Tier::Driver,
    about: "250,000 clients come, talk, are pushed to and leave; nothing is lost (connections=, picture=FILE.svg)",
    run: scale::scenario,
}];
