//! The listening side of HTTP/1.1, strictly (contract, section 9): heads, bodies, answers, and the
//! headers that go on to the API.

mod body;
mod fields;
mod forward;
mod framing;
mod head;
mod request_line;
mod response;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::StatusCode;

pub use body::BodyReader;
pub use forward::forwarded_headers;
pub use framing::BodyLength;
pub use head::{Head, HeadScan, parse_head};
pub use response::{CONTINUE, write_response};

/// A request that HTTP itself forbids: it is answered with this, then the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The body of the answer: what is wrong, for the one who wrote the client.
    pub message: Cow<'static, str>,
}

impl Refusal {
    fn new(status: StatusCode, message: &'static str) -> Self {
        Refusal { status, message: Cow::Borrowed(message) }
    }

    fn bad(message: &'static str) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }
}

/// What methods, header names and codings are made of (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
