//! A call as isahc takes it.
//!
//! libcurl sends a request again, on another connection, when one that was kept ends without a byte of
//! an answer. The API may have seen the first one. It cannot be told not to, but it cannot do so
//! either if it would have to send a body again that it has begun to read and can read only once. It
//! reads a part of the body before it sends the first byte of the head: with a body, no request
//! leaves twice. One without a body goes by a connection of its own, where libcurl does not try again.
//! Only a DELETE may leave twice, as the gateway repeats it in that case anyway (contract, section 6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_io::AsyncRead;
use http::header::{CONNECTION, HeaderValue, USER_AGENT};
use http::{Method, Request};
use isahc::AsyncBody;
use isahc::config::Configurable;

use crate::client::Kind;

/// A body that can be read once.
struct Once(Bytes);

impl AsyncRead for Once {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.0.len().min(buffer.len());
        self.0.copy_to_slice(&mut buffer[..count]);
        Poll::Ready(Ok(count))
    }
}

/// By which connection a call has to go.
pub(crate) fn kind(request: &Request<Bytes>, fresh: bool) -> Kind {
    let once = !request.body().is_empty() || request.method() == Method::DELETE;
    if once && !fresh { Kind::Kept } else { Kind::Fresh }
}

/// Whether isahc would panic: it takes no header that is not plain ASCII.
pub(crate) fn is_beyond_isahc(request: &Request<Bytes>) -> bool {
    request.headers().values().any(|value| value.to_str().is_err())
}

/// The request for isahc, which ends it after `timeout`; or why it cannot send it.
pub(crate) fn to_isahc(request: Request<Bytes>, kind: Kind, timeout: Duration) -> Result<Request<AsyncBody>, String> {
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    if kind == Kind::Fresh {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // Else isahc would set its own. There is no way to have none.
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(""));
    let body = match body.len() {
        0 => AsyncBody::empty(),
        length => AsyncBody::from_reader_sized(Once(body), length as u64),
    };
    // Zero would be for ever.
    let timeout = timeout.max(Duration::from_millis(1));
    let mut request = Request::builder().method(head.method).uri(head.uri).timeout(timeout);
    if let Some(place) = request.headers_mut() {
        *place = headers;
    }
    request.body(body).map_err(|error| error.to_string())
}
