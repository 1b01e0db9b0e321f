//! Tier 2: the real tokio driver in a simulated network.
//!
//! Everything but the network is real: the shipped workers, several shards of a gateway in one host;
//! clients that speak by async-tungstenite, an implementation of its own; an API on hyper.

mod gateway;
mod http;
mod net;
mod panics;
mod process;
mod scale;
mod scenarios;
mod settings;
#[cfg(test)]
mod tests;
mod websocket;
mod world;

pub use scenarios::SCENARIOS;
