//! ws2http on tokio.
//!
//! The driver moves bytes and keeps the gateway's time; this crate gives it sockets, timers and tasks
//! of tokio, and makes the calls to the API. [`serve`] is the whole process, with one thread
//! for each shard. [`workers`] gives the single pieces for another network ([`Net`]), a simulated one
//! for example, or another thread.
//!
//! - `runtime.rs`, `net.rs`: what the driver needs of tokio, and of a network
//! - `lane.rs`, `lanes.rs`: calls to the API (how their connections are opened, and what goes by them, is
//!   in the crate `ws2http-api`)
//! - `worker.rs`, `serve.rs`: workers on tokio, and a process of them

mod lane;
mod lanes;
mod net;
mod runtime;
mod serve;
mod worker;

pub use net::{Net, Tcp};
pub use serve::serve;
pub use worker::{Drain, Worker, workers};
pub use ws2http_driver::Hooks;
