//! The boundary: what a driver tells the gateway, and what the gateway asks of a driver.

use std::net::IpAddr;

use bytes::Bytes;
use http::StatusCode;

use crate::control::{ControlAnswer, ControlRequest};
use crate::metrics::Counters;
use crate::{CallId, ConnId, HandOff, ShardId};

/// Where a socket was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The public listener.
    Public,
    /// The control listener.
    Control,
}

/// What a driver knows of a socket that it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end's address.
    pub address: IpAddr,
    /// The listener that it came by.
    pub surface: Surface,
}

/// What happened outside. Events about sockets and calls that the gateway has let go of are ignored.
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes came in. They are unmasked in place; the gateway keeps no reference to the buffer.
    Received(ConnId, &'a mut [u8]),
    /// The socket took the first so many bytes of what [`crate::Gateway::transmit`] gave.
    /// Fewer than all, or zero, is news too: the socket is full.
    Sent(ConnId, usize),
    /// Nothing more will be read from the socket.
    SocketEnded(ConnId, SocketEnd),
    /// A call that [`Action::Call`] asked for has ended.
    Reply(CallId, Result<http::Response<Bytes>, CallError>),
    /// A message that another shard sent by [`Action::Route`].
    Routed(RouteMessage),
    /// Figures that [`Action::Observe`] asked for.
    Observed(ConnId, ProcessStats),
    /// A deadline of [`crate::Gateway::poll_timeout`] may have passed. Safe when early or repeated.
    Timeout,
    /// Stop taking connects, send everybody away, finish (contract, section 8). Safe when repeated.
    Drain,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEnd {
    /// The other end sends no more. It may still read: the driver keeps the socket until
    /// [`Action::Close`].
    Eof,
    /// The other end reset it. The driver drops the socket; no more actions name it.
    Reset,
    /// Reading or writing failed otherwise. The driver drops the socket; no more actions name it.
    Failed,
}

/// What the driver is to do. Matched without a wildcard, in order.
#[derive(Debug)]
pub enum Action {
    /// There are bytes to send: take them by [`crate::Gateway::transmit`], write, report by [`Event::Sent`];
    /// on and on, until there are none or the socket takes none, and again as soon as it does. What is added
    /// meanwhile is not announced.
    Transmit(ConnId),
    /// [`crate::Gateway::wants_read`] has become true.
    Resume(ConnId),
    /// Everything is written: send FIN, go on reading.
    Shutdown(ConnId),
    /// Close the socket now. The id is not used again.
    Close(ConnId),
    /// Call the API.
    Call {
        /// Names the call in the reply.
        id: CallId,
        /// The request, with an absolute URI and all headers it needs.
        request: http::Request<Bytes>,
        /// Use a connection that has not been used before.
        fresh: bool,
    },
    /// Give up a call: close its connection, send no [`Event::Reply`].
    CancelCall(CallId),
    /// Carry the socket to another shard and give it to [`crate::Gateway::adopt`] there, also if it breaks on the
    /// way: until then it counts as one of [`crate::Config::max_sockets`].
    HandOff(ConnId, ShardId, Box<HandOff>),
    /// Carry a message to another shard, as [`Event::Routed`].
    Route(ShardId, RouteMessage),
    /// Read the figures of the process and give them back by [`Event::Observed`].
    Observe(ConnId),
    /// Something an operator should be able to read in the log.
    Report(Report),
    /// The drain of this shard has ended: nothing is left to do.
    Drained,
}

/// Why a call brought no usable answer. Timeouts are the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The API provably never saw the request: its connection was gone before a byte of it was written, or
    /// HTTP/2 says so (REFUSED_STREAM, or a stream above GOAWAY's last).
    #[error("the connection ended, or HTTP/2 refused the request, before the API saw it")]
    Unsent,
    /// No connection could be made (resolving, connecting, TLS).
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection failed after the request was, or may have been, sent.
    #[error("connection failed: {0}")]
    Broken(String),
    /// The answer is not HTTP.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The body of an answer with this status is larger than [`crate::Config::max_message`].
    #[error("the answer is larger than --max-message")]
    TooLarge(StatusCode),
}

/// What shards say to each other.
#[derive(Debug)]
pub enum RouteMessage {
    /// A control request for a client whose home is the receiving shard.
    Request {
        /// Who waits for the answer.
        from: ShardId,
        /// The control connection there.
        conn: ConnId,
        /// What is asked.
        request: ControlRequest,
    },
    /// The answer to a `Request`.
    Answer {
        /// The control connection that waits.
        conn: ConnId,
        /// What became of it.
        answer: ControlAnswer,
    },
    /// Asks for a shard's counters.
    Count {
        /// Who waits for the answer.
        from: ShardId,
        /// The connection there that scrapes.
        conn: ConnId,
    },
    /// The answer to a `Count`.
    Counted {
        /// The connection that scrapes.
        conn: ConnId,
        /// The answering shard's counters.
        counters: Box<Counters>,
    },
}

/// Figures of the process for the `process_*` metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// User and system CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Virtual memory, in bytes.
    pub virtual_bytes: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// The most descriptors that may be open.
    pub max_fds: u64,
    /// Start of the process, in seconds since the Unix epoch.
    pub start_time_seconds: f64,
}

/// What an operator should be able to read in the log. Drivers hand it to the reporter of the
/// command line, which summarises floods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A call to the API failed; the contract says which outcomes count (section 11).
    CallFailed {
        /// The HTTP method of the call.
        method: http::Method,
        /// The client that it was about, in canonical (percent-encoded) spelling.
        client: String,
        /// What went wrong.
        failure: String,
    },
    /// A `DELETE` was given up after its repeats: the API does not know that this client has gone.
    DisconnectLost {
        /// The client, in canonical spelling.
        client: String,
        /// The `X-Connection-Id` of the connection.
        connection: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A drain has ended before the API could be told these messages of clients.
    MessagesLost {
        /// How many they are.
        messages: u64,
    },
}

/// The caller's buffer for actions: handed to every mutating call, drained after it, used again.
#[derive(Debug, Default)]
pub struct Out {
    /// What to do, in order.
    pub actions: Vec<Action>,
}

impl Out {
    /// An empty buffer.
    pub fn new() -> Self {
        Out::default()
    }
}
