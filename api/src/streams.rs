//! The calls under way on one HTTP/2 connection, each on a stream of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, Response};
use slab::Slab;
use ws2http_core::{CallError, CallId};

use crate::tally::Tally;

/// The most calls under way on one connection, if the API allows so many: with more calls at once
/// there are more connections, which an API of several processes shares among them.
pub(crate) const MOST_STREAMS: usize = 250;

/// A call's place among those of its connection.
pub(crate) type StreamKey = usize;

/// How a call ended.
pub(crate) type Ended = Result<Response<Bytes>, CallError>;

/// Whether a connection takes another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// Not before one of its calls has ended, or the API allows more.
    Full,
    /// Not any more: the connection has ended, or the API has said that it will.
    Gone,
}

/// The sending side of a connection, and its calls.
pub(crate) struct Streams {
    send: SendRequest<Bytes>,
    exchanges: Slab<Exchange>,
    /// By an exchange's key: notes in `news` that there is something to do for it.
    wakers: Vec<Waker>,
    news: Arc<News>,
    tally: Rc<Tally>,
    /// The largest body of an answer.
    limit: usize,
    /// How the connection ended, once it has.
    ended: Option<String>,
}

struct Exchange {
    call: CallId,
    state: State,
    /// What had gone through the connection when the call was handed to it.
    written: u64,
    read: u64,
}

enum State {
    /// The library has not taken it.
    Refused(CallError),
    Head(ResponseFuture),
    Body {
        head: Response<()>,
        stream: RecvStream,
        body: Vec<u8>,
    },
}

impl Streams {
    pub(crate) fn new(send: SendRequest<Bytes>, tally: Rc<Tally>, limit: usize) -> Self {
        let news = Arc::default();
        Streams { send, exchanges: Slab::new(), wakers: Vec::new(), news, tally, limit, ended: None }
    }

    /// How many calls may be under way at once.
    pub(crate) fn most(&self) -> usize {
        self.send.current_max_send_streams().min(MOST_STREAMS)
    }

    /// No call is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// Whether [`Streams::send`] may be called.
    pub(crate) fn room(&mut self) -> Room {
        if self.ended.is_some() {
            return Room::Gone;
        }
        // Nobody waits for room here: it is looked for again whenever the connection has moved on.
        match self.send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => Room::Gone,
            Poll::Ready(Ok(())) if self.exchanges.len() < self.most() => Room::Free,
            Poll::Ready(Ok(())) | Poll::Pending => Room::Full,
        }
    }

    /// Hands a call to the connection. It leaves, together with others, when the connection's task runs.
    pub(crate) fn send(&mut self, call: CallId, request: Request<Bytes>) -> StreamKey {
        let (parts, body) = request.into_parts();
        let mut head = Request::from_parts(parts, ());
        // The URI says it, as `:authority`.
        head.headers_mut().remove(HOST);
        let state = match self.send.send_request(head, body.is_empty()) {
            Ok((response, mut stream)) => {
                if !body.is_empty() {
                    // An error is one of the whole stream, and comes up where its answer is waited for.
                    let _later = stream.send_data(body, true);
                }
                State::Head(response)
            }
            Err(error) => State::Refused(CallError::Broken(format!("cannot be sent by HTTP/2: {error}"))),
        };
        let (written, read) = (self.tally.written(), self.tally.read());
        let key = self.exchanges.insert(Exchange { call, state, written, read });
        while self.wakers.len() <= key {
            let waker = StreamWaker { key: self.wakers.len(), news: Arc::clone(&self.news) };
            self.wakers.push(Waker::from(Arc::new(waker)));
        }
        self.news.add(key);
        key
    }

    /// Gives a call up. Returns whether nothing at all has come in since it was handed over: then the
    /// API may be out of reach.
    pub(crate) fn cancel(&mut self, key: StreamKey) -> bool {
        // The library resets the stream of what is dropped.
        let exchange = self.exchanges.try_remove(key);
        exchange.is_some_and(|exchange| exchange.read == self.tally.read())
    }

    /// The connection has ended: so have its calls.
    pub(crate) fn cut_off(&mut self, how: String) {
        self.ended = Some(how);
        for (key, _) in &self.exchanges {
            self.news.add(key);
        }
    }

    /// The next call that has ended.
    pub(crate) fn next_ended(&mut self) -> Option<(CallId, Ended)> {
        while let Some(key) = self.news.take() {
            let Some(exchange) = self.exchanges.get_mut(key) else { continue };
            let written = exchange.written != self.tally.written();
            let polled = exchange.poll(self.limit, written, &mut Context::from_waker(&self.wakers[key]));
            let ended = match (polled, &self.ended) {
                (Poll::Ready(ended), _) => ended,
                (Poll::Pending, None) => continue,
                (Poll::Pending, Some(_)) if !written => Err(CallError::Unsent),
                (Poll::Pending, Some(how)) => Err(CallError::Broken(how.clone())),
            };
            return Some((self.exchanges.remove(key).call, ended));
        }
        None
    }
}

impl Exchange {
    /// Moves an exchange on. `written`: bytes of it may have left.
    fn poll(&mut self, limit: usize, written: bool, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            match &mut self.state {
                State::Refused(error) => return Poll::Ready(Err(error.clone())),
                State::Head(response) => match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) if length(&response).is_some_and(|length| length > limit as u64) => {
                        return Poll::Ready(Err(CallError::TooLarge(response.status())));
                    }
                    Ok(response) => {
                        let (parts, stream) = response.into_parts();
                        self.state = State::Body { head: Response::from_parts(parts, ()), stream, body: Vec::new() };
                    }
                    Err(error) if !written || never_seen(&error) => return Poll::Ready(Err(CallError::Unsent)),
                    Err(error) => return Poll::Ready(Err(failure(&error))),
                },
                State::Body { head, stream, body } => {
                    let data = if stream.is_end_stream() { None } else { ready!(stream.poll_data(cx)) };
                    match data {
                        None => {
                            let body = std::mem::take(body).into_boxed_slice().into();
                            return Poll::Ready(Ok(std::mem::take(head).map(|()| body)));
                        }
                        Some(Ok(data)) if body.len() + data.len() > limit => {
                            return Poll::Ready(Err(CallError::TooLarge(head.status())));
                        }
                        Some(Ok(data)) => {
                            body.extend_from_slice(&data);
                            take_more(stream, data.len());
                        }
                        Some(Err(error)) => return Poll::Ready(Err(failure(&error))),
                    }
                }
            }
        }
    }
}

/// Lets the API send on. At the end of a stream the library sees to it.
fn take_more(stream: &mut RecvStream, taken: usize) {
    if !stream.is_end_stream() {
        // It fails only for more than has come in.
        let _never = stream.flow_control().release_capacity(taken);
    }
}

fn length<T>(response: &Response<T>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The API has said that it has not looked at this call, and will not (RFC 9113, section 8.7).
/// The library has a remote GOAWAY as the error of those streams only that are beyond its last one.
fn never_seen(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

fn failure(error: &h2::Error) -> CallError {
    if error.is_library() { CallError::Malformed(error.to_string()) } else { CallError::Broken(error.to_string()) }
}

/// The exchanges that have something to do, each perhaps more than once.
#[derive(Default)]
struct News(Mutex<VecDeque<StreamKey>>);

impl News {
    fn add(&self, key: StreamKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(key);
    }

    fn take(&self) -> Option<StreamKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// What the library wakes is not a task but a note: the connection's task, in which it does so, reads
/// the notes afterwards.
struct StreamWaker {
    key: StreamKey,
    news: Arc<News>,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.news.add(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.news.add(self.key);
    }
}
