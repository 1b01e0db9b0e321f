//! What the model is told: everything that can be seen from outside of a gateway.
//!
//! Both tiers feed these in the order in which they happened (of two that cannot have influenced
//! each other, either may come first). What an end does is observed there *before* it can be
//! noticed at the other end: a message is `Sent` before the API gets its `POST`.

use bytes::Bytes;
use http::Method;

/// One socket of one client, by a number of the simulation's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// One request that reached the API, by a number of the simulation's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId(pub u32);

/// One control request, by a number of the simulation's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlId(pub u32);

/// The request header by which a client's GET is known at the API: clients send it in their
/// handshake with the number of their [`SocketId`], and the gateway passes it on like any
/// end-to-end header.
pub const DIAL_HEADER: &str = "x-dial";

/// A text or binary message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payload {
    /// Text, else binary.
    pub text: bool,
    /// The bytes. The laws say most when no two messages of a world are equal.
    pub body: Bytes,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A client began a connect: its handshake is under way.
    Dialled(SocketId, Dial),
    /// The client has read the whole answer to its handshake.
    Answered(SocketId, HandshakeAnswer),
    /// The client has put this on its way.
    Sent(SocketId, Sent),
    /// The client has read this.
    Heard(SocketId, Heard),
    /// The client ended its socket, or its network did.
    Cut(SocketId, Cut),
    /// The client has seen the end of its socket: the gateway, or the network, closed it.
    Closed(SocketId),
    /// From now on this socket is no normal client's; what follows from that is no violation.
    Misbehaves(SocketId, Misbehaviour),

    /// The API has read a whole request.
    ApiRequest(ApiId, ApiRequest),
    /// A request at the API has ended.
    ApiEnded(ApiId, ApiEnding),
    /// A call that the gateway began and that never reached the API: refused, given up on the way,
    /// or never sent. Only where a simulation sees it ([`super::Settings::sees_missed_calls`]).
    ApiMissed(MissedCall),
    /// The way between gateway and API may from now on (`true`) lose requests and answers, which
    /// nobody sees; or no more (`false`).
    ApiFaults(bool),

    /// Somebody put a control request on its way.
    ControlAsked(ControlId, ControlRequest),
    /// The answer to a control request has been read.
    ControlAnswered(ControlId, ControlAnswer),
    /// A control request will have no answer: its connection broke.
    ControlLost(ControlId),
    /// Metrics were scraped; the values, by sample name with labels.
    Metrics(Vec<(String, u64)>),

    /// The gateway's log says that a `DELETE` was given up; the `X-Connection-Id`.
    DisconnectLost(String),
    /// The gateway was told to drain.
    DrainBegun,
    /// The gateway says that its drain has ended.
    Drained,
    /// The gateway was killed: nothing more is to be expected of it.
    Killed,
    /// What a shard holds inside; only where a simulation sees it.
    Holdings(Holdings),
    /// Faults stopped long enough ago, and nothing new was asked since, that all that is on its way
    /// should have arrived. The clients are still there.
    Settled,
}

/// A client's handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The ClientId, decoded.
    pub client: String,
    /// What stands behind the `?`.
    pub query: Option<String>,
    /// The subprotocols offered.
    pub offered: Vec<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// Why the gateway must refuse it without asking the API: the status, if the handshake is bad.
    pub bad: Option<u16>,
}

/// What a client read in answer to its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// The status; 101 lets in.
    pub status: u16,
    /// The subprotocol picked.
    pub protocol: Option<String>,
    /// There is a `Retry-After`.
    pub retry_after: bool,
    /// The body of a refusal.
    pub body: Bytes,
}

/// What a client sends after its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A whole message, in how many frames whatever.
    Message(Payload),
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close frame; `None` is one without a code.
    Close(Option<(u16, String)>),
    /// Bytes that break the protocol. What the client sends after them counts for nothing.
    Garbage,
}

/// What a client reads after its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole message.
    Message(Payload),
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close frame.
    Close(Option<(u16, String)>),
}

/// How a client ended its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN after everything that was sent.
    Eof,
    /// A reset: what was sent may be lost.
    Reset,
    /// Without a sign: the network is gone.
    Vanished,
}

/// What makes a client no normal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// It answers no pings, or its bytes come late.
    Silent,
    /// It does not read, or what is sent to it comes late.
    NotReading,
}

/// A request at the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// GET, POST or DELETE.
    pub method: Method,
    /// The path as it stands in the request, less the path of the API's address: `/<ClientId>`.
    pub path: String,
    /// The query.
    pub query: Option<String>,
    /// `X-Connection-Id`.
    pub connection: String,
    /// The [`DIAL_HEADER`], if there is one.
    pub dial: Option<SocketId>,
    /// `X-Close-Code`.
    pub close_code: Option<u16>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// How a request ended at the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiEnding {
    /// A whole answer was given, and nothing on the way destroys it. Whether it came in time is for
    /// the model to work out.
    Answered(ApiAnswer),
    /// An answer was given that the gateway may or may not have got.
    Unclear(ApiAnswer),
    /// No whole answer was given: broken off, garbage, or the API is gone.
    Broken,
    /// The gateway gave the call up before the answer.
    Abandoned,
}

/// An answer of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The status.
    pub status: u16,
    /// `Content-Type` is `application/octet-stream`.
    pub binary: bool,
    /// `Sec-WebSocket-Protocol`.
    pub protocol: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A call that never reached the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedCall {
    /// What it would have been.
    pub request: ApiRequest,
    /// Why.
    pub why: Missed,
}

/// Why a call never reached the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// No connection could be made.
    Refused,
    /// The gateway gave it up, or never sent it after all.
    GivenUp,
}

/// A push, a kick, or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRequest {
    /// The ClientId, decoded.
    pub client: String,
    /// `If-Match`, without its quotes.
    pub only: Option<String>,
    /// What is asked.
    pub operation: Operation,
    /// Why it must be refused whoever is connected: the status (400, 401, 413), if so.
    pub bad: Option<u16>,
}

/// What a control request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Push this.
    Push(Payload),
    /// Close with this code and reason.
    Kick(u16, String),
    /// Is it connected?
    Head,
}

/// The answer to a control request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAnswer {
    /// The status.
    pub status: u16,
    /// `X-Connection-Id`.
    pub connection: Option<String>,
    /// There is a `Retry-After`.
    pub retry_after: bool,
}

/// What one shard holds (`Gateway::holdings`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Which shard.
    pub shard: u16,
    /// Sockets of any kind.
    pub sockets: u64,
    /// Connections from their GET (or the wait for it) to their DELETE.
    pub sessions: u64,
    /// Calls under way.
    pub calls_in_flight: u64,
    /// Calls that wait for a connection to the API.
    pub calls_waiting: u64,
    /// Messages that wait for their call.
    pub messages: u64,
    /// Pieces in all send queues.
    pub chunks: u64,
    /// Bytes in all send queues.
    pub send_bytes: u64,
    /// The most messages that wait for one client.
    pub most_messages: u64,
    /// The most bytes of waiting messages of one client.
    pub most_message_bytes: u64,
    /// The most that one client's send queue takes up, in bytes.
    pub most_send_bytes: u64,
    /// A timer is set.
    pub timer: bool,
}
