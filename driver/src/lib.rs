//! What drives a gateway, whatever the runtime.
//!
//! The gateway decides, the driver does: it moves bytes between sockets and the gateway, keeps its
//! deadlines, and carries sockets and messages between the workers. What is different from runtime to
//! runtime (sockets, timers, tasks, the HTTP client) comes by one trait, [`Runtime`]; everything here
//! is compiled for each of them.
//!
//! - `runtime.rs`: the trait; `shard.rs`: what a worker's tasks share, and how actions are run
//! - `worker.rs`: listeners, inbox and timer of one shard; `connection.rs`, `sockets.rs`: clients
//! - `ready.rs`: what a task of many things looks at next
//! - `serve.rs`, `listener.rs`: a whole process with its threads; `post.rs`: mail between workers
//! - `keep_alive.rs`: how long a connection to the API is kept

mod clock;
mod connection;
mod keep_alive;
mod listener;
mod post;
mod ready;
mod runtime;
mod serve;
mod shard;
mod sockets;
mod worker;

pub use keep_alive::{KEEP_IDLE, keep_alive};
pub use post::Drain;
pub use ready::Ready;
pub use runtime::Runtime;
pub use serve::serve;
pub use shard::{Hooks, Shard, SharedShard};
pub use worker::{Worker, workers};
