//! The life of one connection towards the API: from its GET to its DELETE.
//!
//! A session begins when a connect is let in and ends when its DELETE is answered or given up; its
//! socket may end earlier or later. The sessions of one ClientId form a chain in order of arrival:
//! only the first one may be open, the next ones wait (contract, section 7).

use bytes::Bytes;
use http::HeaderValue;

use crate::pool::List;
use crate::slab::Key;
use crate::{CallId, ClientId, ConnId, Timestamp};

/// Names a session within its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) Key);

impl From<SessionId> for Key {
    fn from(id: SessionId) -> Key {
        id.0
    }
}

/// One connection of one client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: ClientId,
    /// The serial number in its `X-Connection-Id`.
    pub(crate) serial: u64,
    pub(crate) socket: Option<ConnId>,
    /// The session that waits behind this one for the same ClientId.
    pub(crate) next: Option<SessionId>,
    pub(crate) stage: Stage,
    /// Messages that wait for the API.
    pub(crate) waiting: List,
    pub(crate) waiting_count: u32,
    pub(crate) waiting_bytes: usize,
    /// Message calls begun and not answered.
    pub(crate) calls: u32,
}

const _: () = assert!(size_of::<Session>() <= 112);

/// How far a session has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// An earlier session of this ClientId is in the way.
    Waiting,
    /// The API is asked. `gone` says how the client ended meanwhile, if it did.
    Authorising { call: CallId, gone: Option<&'static str> },
    /// The API said ok, but the session before has not ended yet.
    Authorised(Box<Accepted>),
    /// The WebSocket is open.
    Open,
    /// The end is decided; the DELETE is under way or stands last in line.
    Ending(Box<Ending>),
}

/// What the API's ok brought for the 101.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) protocol: Option<String>,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// What the DELETE says and how far it is.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) code: u16,
    pub(crate) reason: String,
    /// How often the DELETE was sent.
    pub(crate) attempts: u32,
    /// When it first failed.
    pub(crate) failing_since: Timestamp,
    pub(crate) step: EndingStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndingStep {
    /// Earlier calls, or earlier sessions, are not done yet.
    Before,
    Calling(CallId),
    /// The API did not take it; it will be repeated.
    Pausing,
}

/// A message that waits for its call.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: bool,
    pub(crate) payload: Bytes,
}
