//! What the model remembers.

use std::collections::{BTreeMap, BTreeSet};

use ws2http_core::Timestamp;

use super::{
    ApiAnswer, ApiId, ApiRequest, ControlAnswer, ControlId, ControlRequest, Cut, Dial, HandshakeAnswer, Holdings,
    Missed, Payload, SocketId,
};

/// Counts observations: which of two came first.
pub(super) type Step = u64;

/// Index of a [`Life`] in [`State::lives`].
pub(super) type LifeId = usize;

/// Everything remembered.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    pub(super) lives: Vec<Life>,
    pub(super) connections: BTreeMap<String, LifeId>,
    /// When the first DELETE of a connection came.
    pub(super) deletes: BTreeMap<String, Step>,
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) requests: BTreeMap<ApiId, Request>,
    pub(super) controls: BTreeMap<ControlId, Control>,
    pub(super) holdings: BTreeMap<u16, Holdings>,
    pub(super) metrics: Option<BTreeMap<String, u64>>,
    pub(super) drain: Option<Timestamp>,
    pub(super) drained: bool,
    /// Requests and answers may get lost unseen.
    pub(super) api_faults: bool,
    /// They may have been at some time.
    pub(super) had_api_faults: bool,
}

/// One client's socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) dial: Dial,
    pub(super) dialled: Timestamp,
    pub(super) after_drain: bool,
    pub(super) life: Option<LifeId>,
    /// Its GET never reached the API.
    pub(super) missed: Option<Missed>,
    pub(super) answer: Option<(HandshakeAnswer, Step)>,
    pub(super) answered_at: Timestamp,
    pub(super) messages: Vec<Payload>,
    pub(super) pings: u64,
    pub(super) pongs_heard: u64,
    /// It has sent any frame at all.
    pub(super) spoke: bool,
    /// When it heard a message last.
    pub(super) took: Option<Timestamp>,
    pub(super) close_sent: Option<CloseSent>,
    pub(super) garbage: bool,
    pub(super) cuts: Vec<Cut>,
    /// When it vanished, if it did, and the gateway had read all its messages.
    pub(super) vanished: Option<Timestamp>,
    /// When the gateway learned of it otherwise.
    pub(super) revealed: Option<Timestamp>,
    pub(super) closed: bool,
    pub(super) close_heard: bool,
    pub(super) silent: bool,
    pub(super) not_reading: bool,
    /// The gateway that it was connected to has been killed.
    pub(super) dead: bool,
}

#[derive(Clone, Debug)]
pub(super) struct CloseSent {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) at: Timestamp,
    /// Messages stood before it that the gateway may not have read.
    pub(super) behind: bool,
}

impl Socket {
    pub(super) fn new(dial: Dial, dialled: Timestamp, after_drain: bool) -> Self {
        Socket {
            dial,
            dialled,
            after_drain,
            life: None,
            missed: None,
            answer: None,
            answered_at: dialled,
            messages: Vec::new(),
            pings: 0,
            pongs_heard: 0,
            spoke: false,
            took: None,
            close_sent: None,
            garbage: false,
            cuts: Vec::new(),
            vanished: None,
            revealed: None,
            closed: false,
            close_heard: false,
            silent: false,
            not_reading: false,
            dead: false,
        }
    }

    /// Nothing that the client or its network did can have ended the connection.
    pub(super) fn is_sound(&self) -> bool {
        self.cuts.is_empty()
            && self.close_sent.is_none()
            && !(self.closed || self.close_heard || self.garbage || self.silent || self.not_reading || self.dead)
    }

    pub(super) fn opened_before(&self, step: Step) -> bool {
        self.answer.as_ref().is_some_and(|(answer, at)| answer.status == 101 && *at < step)
    }
}

/// How the API decided about a connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Get {
    Asked,
    /// It said ok, and the gateway knows.
    Ok(ApiAnswer),
    /// It refused, or the gateway must take its answer for a failure.
    Refused(Refusal),
    /// It said this, and the gateway may or may not know.
    Unclear(Option<ApiAnswer>),
}

/// What a connect that was not let in is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This status and body.
    Said(u16, bytes::Bytes),
    /// This status.
    Bare(u16),
    BadGateway,
    Timeout,
}

/// One connection as the API knows it: from its GET to its DELETE.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) connection: String,
    pub(super) client: String,
    pub(super) socket: SocketId,
    pub(super) get: Get,
    /// All messages before this one have reached the API or are known to have missed it.
    pub(super) seen: usize,
    /// Later ones that have (with several calls at a time).
    pub(super) seen_early: BTreeSet<usize>,
    pub(super) flights: Vec<ApiId>,
    pub(super) replies: Vec<Reply>,
    pub(super) delete: Delete,
    /// A message call failed, or may have.
    pub(super) post_failed: bool,
    /// Of all that was heard: the latest "not queued before".
    pub(super) heard_not_before: Step,
    /// Something was heard that was queued after the 101.
    pub(super) heard_after_101: bool,
    /// It must not be heard of again.
    pub(super) finished: bool,
    /// When that became so at the API.
    pub(super) ended: Option<Timestamp>,
}

impl Life {
    pub(super) fn is_ok(&self) -> bool {
        matches!(self.get, Get::Ok(_))
    }

    pub(super) fn may_be_ok(&self) -> bool {
        matches!(self.get, Get::Ok(_) | Get::Unclear(Some(_)))
    }
}

/// How far the DELETE of a connection is.
#[derive(Debug, Default)]
pub(super) struct Delete {
    pub(super) attempts: u32,
    pub(super) said: Option<(u16, String)>,
    pub(super) first_failed: Option<Timestamp>,
    pub(super) taken: bool,
    pub(super) perhaps_taken: bool,
    pub(super) lost: bool,
}

/// An answer that goes back to the client.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) payload: Payload,
    pub(super) not_before: Step,
    /// It stood in the send queue by then, if at all.
    pub(super) not_after: Option<Step>,
    /// The gateway has it in time for sure.
    pub(super) sure: bool,
    pub(super) heard: bool,
    pub(super) post: ApiId,
}

/// One request that reached the API.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) what: ApiRequest,
    pub(super) life: Option<LifeId>,
    pub(super) arrived: Timestamp,
    pub(super) ended: bool,
}

/// All that is known of one ClientId.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) lives: Vec<LifeId>,
    pub(super) sockets: Vec<SocketId>,
    pub(super) pushes: Vec<Push>,
    pub(super) kicks: Vec<ControlId>,
    /// Bytes of answers and pushes that may have been queued, frame heads included.
    pub(super) offered: u64,
    /// Of those, how many have been heard.
    pub(super) heard: u64,
}

/// A push.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) control: ControlId,
    pub(super) payload: Payload,
    pub(super) asked: Step,
    pub(super) answered: Option<Step>,
    pub(super) status: Option<u16>,
    /// The connection that the answer named.
    pub(super) connection: Option<String>,
    pub(super) heard: Option<SocketId>,
    pub(super) lost: bool,
}

impl Push {
    /// It has a place in the queue of this connection.
    pub(super) fn is_kept(&self, connection: &str) -> bool {
        matches!(self.status, Some(200 | 202)) && self.connection.as_deref() == Some(connection)
    }

    /// It may be heard on this connection.
    pub(super) fn may_reach(&self, connection: &str) -> bool {
        match self.status {
            None => true,
            Some(_) => self.is_kept(connection),
        }
    }
}

/// A control request.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) request: ControlRequest,
    pub(super) asked: Step,
    pub(super) since: Timestamp,
    /// [`Client::heard`] when it was asked.
    pub(super) heard: u64,
    pub(super) answer: Option<ControlAnswer>,
    pub(super) lost: bool,
}
