//! Simulations of ws2http: one seed is one world, and one world always goes the same way.
//!
//! - [`shards`]: tier 1, discrete events around `ws2http-core` alone; thousands of seeds a minute.
//! - `driver` (feature `driver`, on by default): tier 2, the real tokio driver under turmoil.
//! - [`model`]: what both are judged by. It knows the wire contract and nothing of the gateway.
//! - [`scenario`]: what can be run, by name.

#![forbid(unsafe_code)]

pub mod draw;
#[cfg(feature = "driver")]
pub mod driver;
pub mod model;
pub mod scenario;
pub mod shards;
