//! ws2http on smol.
//!
//! The driver moves bytes and keeps the gateway's time; this crate gives it sockets, timers and tasks
//! of smol, and makes the calls to the API with isahc. [`serve`] is the whole process, with one thread
//! for each shard (and one or two for its calls: isahc has libcurl run on threads of its own).
//!
//! - `runtime.rs`, `stream.rs`: what the driver needs of smol
//! - `exchange.rs`, `request.rs`: one call; `client.rs`: the connections that calls go by
//! - `own.rs`: a call that isahc cannot make; its connection, and calls by HTTP/2, are in the crate
//!   `ws2http-api`
//! - `serve.rs`: workers on their threads

mod client;
mod exchange;
mod own;
mod request;
mod runtime;
mod serve;
mod stream;

pub use serve::serve;
