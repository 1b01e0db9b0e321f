//! The ws2http protocol as a pure state machine: events in, actions out.

mod api_address;
mod authority;
mod client_id;
pub mod http;
mod origin;

pub use api_address::{ApiAddress, ApiAddressError};
pub use client_id::{ClientId, ClientIdError};
pub use origin::{OriginPattern, OriginPatternError};
