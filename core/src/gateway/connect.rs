//! From a checked handshake to the 101 or a refusal (contract, sections 3 and 7).

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Gateway;
use super::canary::Canary;
use crate::call::{CallFailure, CallKind, Outcome};
use crate::event::Action;
use crate::http::{Head, write_response};
use crate::metrics::Refused;
use crate::pool::List;
use crate::session::{Accepted, Session, SessionId, Stage};
use crate::socket::{Connecting, Socket, Wire};
use crate::ws::{Handshake, upgrade_response};
use crate::{ClientId, ConnId, OnDuplicate, Timestamp};

/// Connects of one ClientId that may wait at once; one more is answered 503.
const MOST_WAITING: usize = 4;

/// A connect on its way to its home shard. The socket travels with it.
#[derive(Debug)]
pub struct HandOff {
    client: ClientId,
    connecting: Box<Connecting>,
}

impl HandOff {
    pub(super) fn into_parts(self) -> (ClientId, Box<Connecting>) {
        (self.client, self.connecting)
    }
}

/// What a refused client is told.
#[derive(Debug)]
pub(super) struct Denial {
    status: StatusCode,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
    reason: Refused,
}

impl Denial {
    fn new(status: StatusCode, text: &'static str, reason: Refused) -> Self {
        let mut headers = Vec::new();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        Denial { status, body: Bytes::from_static(text.as_bytes()), headers, reason }
    }

    pub(super) fn draining() -> Self {
        Denial::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down", Refused::Draining)
    }

    pub(super) fn waited() -> Self {
        let text = "the previous connection of this id has not ended yet";
        Denial::new(StatusCode::SERVICE_UNAVAILABLE, text, Refused::Waiting)
    }

    pub(super) fn duplicate() -> Self {
        Denial::new(StatusCode::CONFLICT, "this id is connected", Refused::Duplicate)
    }

    fn bad_gateway() -> Self {
        Denial::new(StatusCode::BAD_GATEWAY, "bad gateway", Refused::ApiFailed)
    }

    /// The close code for `--refuse-in-band`.
    fn close_code(&self) -> u16 {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => 1013,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => 1011,
            _ => 1008,
        }
    }
}

/// What the API's answer to the GET means (contract, section 3.4).
enum Verdict {
    Accept(Accepted),
    /// The API said ok to something that cannot be: it is owed a DELETE.
    Unusable(Denial),
    Refuse(Denial),
}

fn verdict(outcome: Outcome, offered: &[String], configured: &[String]) -> Verdict {
    let response = match outcome {
        Ok(response) => response,
        Err(CallFailure::Timeout) => {
            // An ok that comes later counts for nothing, and no DELETE follows: one sent now could overtake it.
            let text = "the API did not answer in time";
            return Verdict::Refuse(Denial::new(StatusCode::GATEWAY_TIMEOUT, text, Refused::ApiTimeout));
        }
        Err(CallFailure::Call(_) | CallFailure::Drained) => return Verdict::Refuse(Denial::bad_gateway()),
    };
    let (parts, body) = response.into_parts();
    if parts.status.is_success() && body.trim_ascii() == b"ok" {
        return accept(&parts.headers, offered, configured);
    }
    let status = match parts.status {
        status if status.is_success() => StatusCode::FORBIDDEN,
        status if status.is_client_error() => status,
        _ => return Verdict::Refuse(Denial::bad_gateway()),
    };
    let kept = [header::CONTENT_TYPE, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::RETRY_AFTER];
    let headers =
        kept.iter().flat_map(|name| parts.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    Verdict::Refuse(Denial { status, body, headers: headers.collect(), reason: Refused::ByApi })
}

fn accept(headers: &HeaderMap, offered: &[String], configured: &[String]) -> Verdict {
    let protocol = match headers.get(header::SEC_WEBSOCKET_PROTOCOL) {
        Some(named) => match offered.iter().find(|offer| named == offer.as_str()) {
            Some(offer) => Some(offer.clone()),
            None => return Verdict::Unusable(Denial::bad_gateway()),
        },
        None => offered.iter().find(|offer| configured.contains(offer)).cloned(),
    };
    let cookies = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    Verdict::Accept(Accepted { protocol, cookies })
}

impl Gateway {
    /// A connect with a good handshake: to its home shard.
    pub(super) fn connect(&mut self, conn: ConnId, client: ClientId, handshake: Handshake, head: &Head) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if socket.eof {
            // It stood behind an earlier request when its client left; nobody has been asked about it yet.
            return self.close_socket(conn);
        }
        let Wire::Http(http) = &mut socket.wire else { return };
        let connecting = Box::new(Connecting {
            peer: http.peer.address,
            handshake,
            headers: head.headers.clone(),
            query: head.query.clone(),
            early: http.buffer.to_vec(),
        });
        let home = self.router.home(&client);
        if home == self.shard {
            self.http_sockets -= 1;
            socket.deadline = Timestamp::NEVER;
            socket.wire = Wire::Handshake(connecting);
            self.admit(conn, client);
        } else if self.take_socket(conn).is_some() {
            self.act(Action::HandOff(conn, home, Box::new(HandOff { client, connecting })));
        }
    }

    /// Lets a connect in, behind earlier ones of its id, or refuses it.
    pub(super) fn admit(&mut self, conn: ConnId, client: ClientId) {
        if let Err(denial) = self.may_enter(conn) {
            return self.deny(conn, denial);
        }
        let first = self.router.first(&self.sessions, &client);
        if let Some(first) = first
            && let Err(denial) = self.may_wait(first)
        {
            self.shared.clients.fetch_sub(1, Ordering::Relaxed);
            return self.deny(conn, denial);
        }
        self.connections += 1;
        let session = SessionId(self.sessions.insert(Session {
            client: client.clone(),
            serial: self.connections * u64::from(self.shared.shards()) + u64::from(self.shard.0),
            socket: Some(conn),
            next: None,
            stage: Stage::Waiting,
            waiting: List::new(),
            waiting_count: 0,
            waiting_bytes: 0,
            calls: 0,
        }));
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.session = Some(session);
        }
        match first {
            None => self.router.set_first(&self.sessions, &client, session),
            Some(first) => self.append(first, session),
        }
        self.settle(first.unwrap_or(session));
    }

    /// Limits and origin (contract, section 3.2); counts the client in.
    fn may_enter(&mut self, conn: ConnId) -> Result<(), Denial> {
        if self.drain.is_some() {
            return Err(Denial::draining());
        }
        let Some(Socket { wire: Wire::Handshake(connecting), .. }) = self.sockets.get(conn) else { return Ok(()) };
        let origin = connecting.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let origins = &self.config.origins;
        if !origins.is_empty() && !origin.is_some_and(|origin| origins.iter().any(|pattern| pattern.matches(origin))) {
            return Err(Denial::new(StatusCode::FORBIDDEN, "origin not allowed", Refused::Origin));
        }
        if self.shared.clients.fetch_add(1, Ordering::Relaxed) >= self.config.max_connections {
            self.shared.clients.fetch_sub(1, Ordering::Relaxed);
            return Err(Denial::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections", Refused::Capacity));
        }
        Ok(())
    }

    /// Whether a connect may stand in line behind the sessions of its id.
    fn may_wait(&self, first: SessionId) -> Result<(), Denial> {
        let connected = self.sessions.get(first).is_some_and(|session| matches!(session.stage, Stage::Open));
        if connected && self.config.on_duplicate == OnDuplicate::Reject {
            return Err(Denial::duplicate());
        }
        if self.chain(first).count() > MOST_WAITING { Err(Denial::waited()) } else { Ok(()) }
    }

    /// The sessions of one id, first to last.
    pub(super) fn chain(&self, first: SessionId) -> impl Iterator<Item = SessionId> {
        std::iter::successors(Some(first), |id| self.sessions.get(*id)?.next)
    }

    fn append(&mut self, first: SessionId, session: SessionId) {
        let held_up = self.chain(first).any(|id| self.is_over(id));
        let Some(last) = self.chain(first).last() else { return };
        if let Some(last) = self.sessions.get_mut(last) {
            last.next = Some(session);
        }
        if held_up {
            self.limit_wait(session);
            if self.canary(Canary::OverlapOnReconnect) {
                self.authorise(session);
            }
        }
    }

    /// Whether a session has no client any more, so that a new one waits for what the API says to the old one.
    fn is_over(&self, id: SessionId) -> bool {
        let stage = self.sessions.get(id).map(|session| &session.stage);
        matches!(stage, Some(Stage::Ending(_) | Stage::Authorising { gone: Some(_), .. }))
    }

    /// A connect that waits for the end of another waits only so long (contract, section 6).
    fn limit_wait(&mut self, session: SessionId) {
        let Some(session) = self.sessions.get(session) else { return };
        let (Some(conn), Stage::Waiting | Stage::Authorised(_)) = (session.socket, &session.stage) else { return };
        if self.sockets.get(conn).is_some_and(|socket| socket.deadline == Timestamp::NEVER) {
            self.set_deadline(conn, self.now + self.config.handshake_timeout);
        }
    }

    /// A session is over: those behind it wait for the API.
    pub(super) fn limit_waits(&mut self, over: SessionId) {
        let waiting: Vec<SessionId> = self.chain(over).skip(1).collect();
        waiting.into_iter().for_each(|session| self.limit_wait(session));
    }

    /// When nobody of this id is over any more, those who wait do so for a decision, however long it takes.
    pub(super) fn lift_limits(&mut self, client: &ClientId) {
        let Some(first) = self.router.first(&self.sessions, client) else { return };
        if self.chain(first).any(|id| self.is_over(id)) {
            return;
        }
        let sessions = self.chain(first).filter_map(|id| self.sessions.get(id));
        let waiting = sessions.filter(|session| matches!(session.stage, Stage::Waiting));
        let conns: Vec<ConnId> = waiting.filter_map(|session| session.socket).collect();
        conns.into_iter().for_each(|conn| self.set_deadline(conn, Timestamp::NEVER));
    }

    /// Moves the sessions of one id on as far as they can go now.
    pub(super) fn settle(&mut self, first: SessionId) {
        let Some(session) = self.sessions.get(first) else { return };
        match &session.stage {
            Stage::Waiting => self.authorise(first),
            Stage::Authorising { .. } => {}
            Stage::Authorised(_) if self.drain.is_some() => {
                self.deny_authorised(first, Denial::draining(), "shutting down");
            }
            Stage::Authorised(_) => self.upgrade(first),
            Stage::Open => {
                if let Some(second) = session.next {
                    self.settle_duplicate(first, second);
                }
            }
            Stage::Ending(_) => {
                self.limit_waits(first);
                self.start_disconnect(first);
            }
        }
    }

    /// A second connect with a connected id (contract, section 7).
    fn settle_duplicate(&mut self, first: SessionId, second: SessionId) {
        let Some(stage) = self.sessions.get(second).map(|session| &session.stage) else { return };
        match (stage, self.config.on_duplicate) {
            (Stage::Waiting, OnDuplicate::Reject) => {
                self.deny_session(second, Denial::duplicate());
                self.settle(first);
            }
            (Stage::Waiting, OnDuplicate::Challenge) => self.challenge(first),
            (Stage::Waiting, OnDuplicate::Replace) => self.authorise(second),
            (Stage::Authorising { .. } | Stage::Open, _) => {}
            // Also when the new client has gone meanwhile: the API has been told of the change.
            (Stage::Authorised(_) | Stage::Ending(_), _) => self.close_session(first, 1008, "replaced"),
        }
    }

    /// The challenged client lives: the connects that waited for its end are refused.
    pub(super) fn challenge_answered(&mut self, conn: ConnId) {
        let Some(first) = self.session_of(conn) else { return };
        let waiting: Vec<SessionId> = self.chain(first).skip(1).collect();
        waiting.into_iter().for_each(|session| self.deny_session(session, Denial::duplicate()));
    }

    fn authorise(&mut self, id: SessionId) {
        let call = self.calls.add(id, CallKind::Connect, Bytes::new(), self.now);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.stage = Stage::Authorising { call, gone: None };
        if let Some(conn) = session.socket {
            // From here on the API's time counts.
            self.set_deadline(conn, Timestamp::NEVER);
        }
    }

    /// The API has answered the GET, or has not.
    pub(super) fn connect_answered(&mut self, id: SessionId, outcome: Outcome) {
        let Some(session) = self.sessions.get(id) else { return };
        let Stage::Authorising { gone, .. } = session.stage else { return };
        let socket = session.socket.and_then(|conn| self.sockets.get(conn));
        let offered = match socket.map(|socket| &socket.wire) {
            Some(Wire::Handshake(connecting)) => connecting.handshake.offered.as_slice(),
            _ => &[],
        };
        match verdict(outcome, offered, &self.config.subprotocols) {
            Verdict::Refuse(denial) => {
                let first = self.first_before(id);
                self.deny_session(id, denial);
                return self.settle_first(first);
            }
            Verdict::Accept(_) | Verdict::Unusable(_) if gone.is_some() => {
                self.end_session(id, 1006, gone.unwrap_or_default());
            }
            Verdict::Unusable(denial) => self.deny_authorised(id, denial, "subprotocol was not offered"),
            Verdict::Accept(_) if self.drain.is_some() => {
                self.deny_authorised(id, Denial::draining(), "shutting down");
            }
            Verdict::Accept(accepted) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.stage = Stage::Authorised(Box::new(accepted));
                }
            }
        }
        self.settle_chain_of(id);
    }

    pub(super) fn settle_chain_of(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        self.settle_first(self.router.first(&self.sessions, &session.client));
    }

    /// The first session of the same id, if that is another one.
    pub(super) fn first_before(&self, id: SessionId) -> Option<SessionId> {
        let first = self.router.first(&self.sessions, &self.sessions.get(id)?.client)?;
        (first != id).then_some(first)
    }

    /// One behind this session has left the line: the next may have its turn.
    pub(super) fn settle_first(&mut self, first: Option<SessionId>) {
        if let Some(first) = first {
            self.settle(first);
        }
    }

    /// Answers 101: the session is open.
    fn upgrade(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(conn) = session.socket else { return };
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if !matches!(socket.wire, Wire::Handshake(_)) {
            return;
        }
        let Stage::Authorised(accepted) = std::mem::replace(&mut session.stage, Stage::Open) else { return };
        let Wire::Handshake(connecting) = std::mem::replace(&mut socket.wire, Wire::WebSocket) else { return };
        socket.last_seen = self.now;
        socket.deadline = Timestamp::NEVER;
        let accept = &connecting.handshake.accept;
        let response = upgrade_response(accept, accepted.protocol.as_deref(), &accepted.cookies);
        self.counters.connections_opened += 1;
        self.counters.active_connections += 1;
        self.count_early(conn);
        self.enqueue_first(conn, response);
        self.arm(conn);
        let mut early = connecting.early;
        self.read_frames(conn, &mut early);
        self.act(Action::Resume(conn));
        self.settle(id);
    }

    /// Refuses a connect that the API has not said ok to; its session leaves no trace.
    pub(super) fn deny_session(&mut self, id: SessionId, denial: Denial) {
        let conn = self.sessions.get(id).and_then(|session| session.socket);
        self.remove_session(id);
        if let Some(conn) = conn {
            self.deny(conn, denial);
        }
    }

    /// Refuses a connect that the API has said ok to: a DELETE follows.
    pub(super) fn deny_authorised(&mut self, id: SessionId, denial: Denial, reason: &'static str) {
        let conn = self.sessions.get(id).and_then(|session| session.socket);
        if let Some(conn) = conn {
            if let Some(socket) = self.sockets.get_mut(conn) {
                socket.session = None;
            }
            self.deny(conn, denial);
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.socket = None;
        }
        self.end_session(id, 1006, reason);
    }

    /// Tells the client that it is refused, as HTTP or inside the WebSocket (contract, section 3.6).
    pub(super) fn deny(&mut self, conn: ConnId, denial: Denial) {
        self.counters.refused(denial.reason);
        self.clear_send_queue(conn);
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let Wire::Handshake(connecting) = &mut socket.wire else { return };
        if self.config.refuse_in_band {
            let mut early = std::mem::take(&mut connecting.early);
            // Browsers give up when they offered subprotocols and none is picked.
            let protocol = connecting.handshake.offered.first().map(String::as_str);
            let response = upgrade_response(&connecting.handshake.accept, protocol, &[]);
            self.enqueue_first(conn, response);
            let reason: Cow<'_, str> = String::from_utf8_lossy(denial.body.trim_ascii());
            self.send_close(conn, denial.close_code(), &reason);
            self.read_frames(conn, &mut early);
        } else {
            let mut bytes = Vec::with_capacity(160 + denial.body.len());
            let headers: Vec<(&str, &[u8])> =
                denial.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            write_response(&mut bytes, denial.status, &headers, &denial.body, Some("close"), false);
            self.enqueue_first(conn, bytes);
            self.finish(conn);
        }
        self.act(Action::Resume(conn));
    }
}
