//! ws2http on tokio.
//!
//! The gateway decides, this crate does: it accepts, reads, writes, calls the API and keeps the
//! time. [`serve`] is the whole process, with one thread for each shard. [`workers`] gives the
//! single pieces for another network ([`Net`]), a simulated one for example, or another thread.
//!
//! - `worker.rs`: one shard's listeners, inbox and timer; `shard.rs`: what its tasks share, and how
//!   actions are run; `connection.rs`, `sockets.rs`: clients' sockets; `lane.rs`, `lanes.rs`: calls
//!   to the API; `exchange.rs`, `stream.rs`, `api.rs`: the connections that they use.

mod api;
mod clock;
mod connection;
mod exchange;
mod lane;
mod lanes;
mod listener;
mod net;
mod post;
mod serve;
mod shard;
mod sockets;
mod stream;
mod worker;

pub use net::{Net, Tcp};
pub use serve::serve;
pub use worker::{Drain, Hooks, Worker, workers};
