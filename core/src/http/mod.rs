//! HTTP/1.1: on the listening side, strictly (contract, section 9; RFC 9112); towards the API, for drivers
//! without an HTTP client of their own.
//!
//! Whatever two readers could understand differently is refused, and the connection closed: behind
//! a proxy, a disagreement on where a request ends is a way to smuggle another one in.

mod answer;
mod body;
mod fields;
mod forward;
mod framing;
mod head;
#[cfg(test)]
mod properties;
mod request;
mod request_line;
mod response;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::StatusCode;

pub use answer::{Answer, AnswerReader};
pub(crate) use body::BodyReader;
pub(crate) use forward::forwarded_headers;
pub(crate) use framing::BodyLength;
pub(crate) use head::{Head, HeadScan, parse_head};
pub use request::write_request_head;
pub(crate) use response::{CONTINUE, write_response};

/// A request that HTTP itself forbids: it is answered with this, then the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The body of the answer: what is wrong, for the one who wrote the client.
    pub(crate) message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: &'static str) -> Self {
        Refusal { status, message: Cow::Borrowed(message) }
    }

    pub(crate) fn bad(message: &'static str) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }
}

/// What methods, header names and codings are made of (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
