//! Calls to the API, the same on any runtime.
//!
//! A runtime opens connections; this crate has calls made by them. Nothing here runs on tokio: of
//! that crate only the traits of byte streams are used, which the libraries for HTTP/2 and TLS ask
//! for.
//!
//! - `server.rs`: how a connection is opened; `addresses.rs`: which address is tried first
//! - `tls.rs`, `stream.rs`: certificates, and a connection with or without TLS
//! - `exchange.rs`: calls by HTTP/1.1 on one connection
//! - `channel.rs`: one HTTP/2 connection; `channels.rs`: which one serves which call; `streams.rs`,
//!   `tally.rs`: the calls under way on one

mod addresses;
mod channel;
mod channels;
mod exchange;
mod server;
mod stream;
mod streams;
mod tally;
mod tls;

pub use channel::{Http2, call, expire};
pub use channels::Channels;
pub use exchange::Link;
pub use server::{Api, Dial};
pub use stream::ApiStream;
pub use tls::Tls;
