//! The ws2http protocol as a pure state machine.
//!
//! ```text
//!  client sockets                     core (pure)                        API server
//! ───────────────► bytes in   ┌─────────────────────────┐  Action::Call  ───────────────►
//! ◄─────────────── bytes out  │ Gateway = one shard     │  Event::Reply  ◄───────────────
//!  control sockets            │ sockets sessions calls  │
//! ◄──────────────► the same   └─────────────────────────┘
//!                               now, seed: arguments
//! ```
//!
//! A driver accepts sockets, moves bytes, makes HTTP calls and keeps the time; [`Gateway`] decides
//! everything else. Time, seed and bytes are arguments: two gateways that are told the same do the
//! same. What each request on the wire means is written in the contract, `docs/contract.md`; comments name
//! its sections.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

mod api_address;
mod authority;
mod call;
mod client_id;
mod config;
mod control;
mod event;
mod gateway;
mod http;
mod ids;
mod metrics;
mod origin;
mod pool;
mod retries;
mod send_queue;
mod session;
mod slab;
mod socket;
mod time;
mod timers;
mod ws;

pub use api_address::{ApiAddress, ApiAddressError};
pub use client_id::{ClientId, ClientIdError};
pub use config::{Config, OnApiFailure, OnDuplicate, Secret};
pub use control::{ControlAnswer, ControlRequest};
pub use event::{Action, CallError, Event, Out, Peer, ProcessStats, Report, RouteMessage, SocketEnd, Surface};
#[cfg(feature = "canaries")]
pub use gateway::Canary;
pub use gateway::{Gateway, HandOff, Holdings, Shared};
pub use http::{Answer, AnswerReader, write_request_head};
pub use ids::{CallId, ConnId, ConnectionId, ShardId};
pub use metrics::Counters;
pub use origin::{OriginPattern, OriginPatternError};
pub use time::Timestamp;
pub use timers::TimerReason;
