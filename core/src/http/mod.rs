//! HTTP/1.1 on the listening side, strictly (contract, section 9; RFC 9112).
//!
//! Whatever two readers could understand differently is refused, and the connection closed: behind
//! a proxy, a disagreement on where a request ends is a way to smuggle another one in.

mod body;
mod forward;
mod head;
mod response;

use std::borrow::Cow;

use ::http::StatusCode;

pub(crate) use body::{BodyLength, BodyReader};
pub(crate) use forward::forwarded_headers;
pub(crate) use head::{Head, parse_head};
pub(crate) use response::{CONTINUE, write_response};

/// Why a request is answered with an error and its connection closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
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

#[cfg(test)]
mod tests;
