//! The state of one socket: what is on the wire, in both directions.

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use std::borrow::Cow;
use std::net::IpAddr;

use crate::control::ControlRequest;
use crate::event::{Peer, ProcessStats};
use crate::http::{BodyReader, HeadScan};
use crate::metrics::{Counters, Refused};
use crate::send_queue::SendQueue;
use crate::session::SessionId;
use crate::time::Timestamp;
use crate::ws::Decoder;
use crate::ws::Handshake;

/// One socket. A quarter of a million of them are idle at a time: every byte counts.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) wire: Wire,
    /// The client's session; `None` for control connections and for sockets that outlive it.
    pub(crate) session: Option<SessionId>,
    pub(crate) decoder: Decoder,
    pub(crate) send: SendQueue,
    /// Reading has been stopped for want of room.
    pub(crate) paused: bool,
    /// The other end sends no more.
    pub(crate) eof: bool,
    /// Another connect waits for this client to prove that it lives.
    pub(crate) challenged: bool,
    /// How often in a row a deadline that came up late has been put off.
    pub(crate) spared: u8,
    /// When bytes last came in.
    pub(crate) last_seen: Timestamp,
    /// Until when a ping must be answered.
    pub(crate) pong_due: Timestamp,
    /// Until when the send queue must make progress.
    pub(crate) stall_due: Timestamp,
    /// The deadline of what the wire is at.
    pub(crate) deadline: Timestamp,
    /// The earliest entry of this socket in the timer queue.
    pub(crate) armed: Timestamp,
}

const _: () = assert!(size_of::<Socket>() <= 128);

impl Socket {
    pub(crate) fn new(wire: Wire, now: Timestamp) -> Self {
        Socket {
            wire,
            session: None,
            decoder: Decoder::default(),
            send: SendQueue::new(),
            paused: false,
            eof: false,
            challenged: false,
            spared: 0,
            last_seen: now,
            pong_due: Timestamp::NEVER,
            stall_due: Timestamp::NEVER,
            deadline: Timestamp::NEVER,
            armed: Timestamp::NEVER,
        }
    }
}

/// What a socket is at.
#[derive(Debug)]
pub(crate) enum Wire {
    /// HTTP requests, answered one after the other.
    Http(Box<HttpWire>),
    /// A connect that waits for its answer.
    Handshake(Box<Connecting>),
    /// An open WebSocket.
    WebSocket,
    /// Our close frame is queued, the client's is awaited.
    CloseSent,
    /// The client's close frame came with this code; ours waits for the API's answer to the DELETE.
    CloseReceived(u16),
    /// The rest of the send queue goes out, then FIN.
    Finishing,
    /// FIN is sent. What still comes in is thrown away, so that no reset overtakes our last bytes.
    Lingering,
}

/// A connection on which HTTP requests come in.
#[derive(Debug)]
pub(crate) struct HttpWire {
    pub(crate) peer: Peer,
    pub(crate) buffer: BytesMut,
    /// How far [`crate::http::parse_head`] has come.
    pub(crate) scan: HeadScan,
    pub(crate) state: HttpState,
    /// The request under way allows another after it.
    pub(crate) keep_alive: bool,
    /// The request under way is of HTTP/1.0, which has to be told that another may follow.
    pub(crate) http_10: bool,
    /// The request under way is a HEAD: its answer has no body.
    pub(crate) head_only: bool,
    /// A request has been answered before.
    pub(crate) reused: bool,
}

impl HttpWire {
    pub(crate) fn new(peer: Peer) -> Self {
        HttpWire {
            peer,
            buffer: BytesMut::new(),
            scan: HeadScan::default(),
            state: HttpState::Head,
            keep_alive: false,
            http_10: false,
            head_only: false,
            reused: false,
        }
    }
}

/// Where the request under way stands.
#[derive(Debug)]
pub(crate) enum HttpState {
    Head,
    Body(Box<(BodyReader, Pending)>),
    /// Another shard is asked.
    Routed,
    /// Metrics are being collected.
    Scraping(Box<Scrape>),
    /// The answer is being written.
    Responding,
}

/// What to do when the body is complete.
#[derive(Debug)]
pub(crate) enum Pending {
    Control(ControlRequest),
    /// What was wrong with the head.
    Answer(StatusCode, Cow<'static, str>, Option<Refused>),
    Metrics,
    Healthy,
    Ready,
}

/// Metrics under collection.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) counters: Counters,
    /// Shards that have not answered.
    pub(crate) missing: u16,
    pub(crate) process: Option<ProcessStats>,
}

/// A connect whose handshake has been checked.
#[derive(Debug)]
pub(crate) struct Connecting {
    pub(crate) peer: IpAddr,
    pub(crate) handshake: Handshake,
    /// The client's headers, for the API.
    pub(crate) headers: HeaderMap,
    pub(crate) query: Option<String>,
    /// Frames that came along with the handshake or while the API decides.
    pub(crate) early: Vec<u8>,
}
