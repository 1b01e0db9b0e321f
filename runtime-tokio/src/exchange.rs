//! One exchange of a request and an answer with the API, by hyper.

use std::cell::Cell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use ws2http_core::CallError;

use crate::stream::ApiStream;

/// Bounds hyper's buffers, and with it the head of an answer.
const MAX_BUFFER: usize = 64 * 1024;

/// A connection to the API, and hyper's state machine on it. Both are driven by the lane's task,
/// so that a call costs no second task and no wake between the two.
pub(crate) struct Link<S: AsyncRead + AsyncWrite + Unpin> {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` when it has ended; hyper gives up what it has not sent when this is dropped.
    connection: Option<http1::Connection<TokioIo<ApiStream<S>>, Full<Bytes>>>,
    /// A byte of the current request may have left.
    wrote: Rc<Cell<bool>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Link<S> {
    pub(crate) async fn open(stream: ApiStream<S>) -> Result<Self, String> {
        let wrote = stream.wrote();
        let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| describe(&error))?;
        Ok(Link { sender, connection: Some(connection), wrote })
    }

    /// Moves bytes. Ready when the connection has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.connection {
            // An error is told to whoever waits for the answer.
            let _told = ready!(Pin::new(connection).poll(cx));
            self.connection = None;
        }
        Poll::Ready(())
    }

    /// The last answer is complete and the connection stays open.
    pub(crate) fn is_reusable(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Sends a request and collects its answer, of at most `limit` bytes.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, CallError> {
        self.wrote.set(false);
        let request = origin_form(request);
        // The answer comes out of the connection while that is polled, here: it needs no waking of its
        // own, nor a share of what the task may do in one go (without which it would have to be woken).
        let mut answer = pin!(unconstrained(self.sender.send_request(request.map(Full::new))));
        let answer = poll_fn(|cx| {
            let _ended = self.poll(cx);
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        let answer = answer.await;
        let (head, body) = answer.map_err(|error| self.failure(&error))?.into_parts();
        let body = self.collect(body, limit).await?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it, and what follows is not HTTP.
            return Err(CallError::Malformed("101 Switching Protocols".to_owned()));
        }
        Ok(Response::from_parts(head, body))
    }

    async fn collect(&mut self, mut body: Incoming, limit: usize) -> Result<Bytes, CallError> {
        let mut collected = Collected::default();
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(CallError::TooLarge);
        }
        poll_fn(|cx| {
            while !body.is_end_stream() {
                let Some(frame) = ready!(self.poll_frame(&mut body, cx)) else { break };
                match frame {
                    Err(error) => return Poll::Ready(Err(self.failure(&error))),
                    Ok(frame) => {
                        // Trailers say nothing to a client.
                        let Ok(data) = frame.into_data() else { continue };
                        if collected.len() + data.len() > limit {
                            return Poll::Ready(Err(CallError::TooLarge));
                        }
                        collected.push(data, announced);
                    }
                }
            }
            if !self.is_reusable() {
                // Lets hyper see that the answer is complete and make ready for the next request.
                let _ended = self.poll(cx);
            }
            Poll::Ready(Ok(std::mem::take(&mut collected).into_bytes()))
        })
        .await
    }

    /// The next piece of a body; as with the answer, it comes out of the connection.
    fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut unwoken = Context::from_waker(Waker::noop());
        match Pin::new(&mut *body).poll_frame(&mut unwoken) {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => {
                let _ended = self.poll(cx);
                Pin::new(body).poll_frame(&mut unwoken)
            }
        }
    }

    fn failure(&self, error: &hyper::Error) -> CallError {
        if !self.wrote.get() {
            CallError::Unsent
        } else if error.is_parse() || is_malformed_body(error) {
            CallError::Malformed(describe(error))
        } else {
            CallError::Broken(describe(error))
        }
    }
}

/// A request as it goes to the server itself: with path and query only, `Host` says the rest.
fn origin_form(mut request: Request<Bytes>) -> Request<Bytes> {
    let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    request
}

/// A body in parts. A single part, the usual case, is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn push(&mut self, data: Bytes, announced: usize) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(announced.max(self.first.len() + data.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// Whether it is the framing of a body that is wrong, and not the connection.
fn is_malformed_body(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// An error with what is behind it.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
