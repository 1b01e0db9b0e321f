//! Push, kick and `HEAD` (contract, sections 1 and 5).

use bytes::Bytes;
use http::StatusCode;

use super::Gateway;
use super::canary::Canary;
use crate::control::{ControlAnswer, ControlRequest, Operation};
use crate::event::{Action, RouteMessage};
use crate::metrics::{Pushed, Refused};
use crate::session::{Session, SessionId, Stage};
use crate::socket::{HttpState, Socket, Wire};
use crate::{ClientId, ConnId};

impl Gateway {
    /// A control request is complete: to the client's home shard with it.
    pub(super) fn on_control(&mut self, conn: ConnId, mut request: ControlRequest, body: Bytes) {
        if let Operation::Push { text, payload } = &mut request.operation {
            if *text && std::str::from_utf8(&body).is_err() {
                return self.answer_bad_text(conn);
            }
            *payload = body;
        }
        let home = self.router.home(&request.client);
        if home == self.shard {
            let answer = self.control(request);
            self.answer(conn, answer);
        } else {
            self.act(Action::Route(home, RouteMessage::Request { from: self.shard, conn, request }));
        }
    }

    fn answer_bad_text(&mut self, conn: ConnId) {
        self.counters.refused(Refused::BadRequest);
        let text = b"the body is not UTF-8; a binary message has Content-Type: application/octet-stream";
        self.respond(conn, StatusCode::BAD_REQUEST, &[], text);
    }

    /// A message from another shard.
    pub(super) fn routed(&mut self, message: RouteMessage) {
        match message {
            RouteMessage::Request { from, conn, request } => {
                let answer = self.control(request);
                self.act(Action::Route(from, RouteMessage::Answer { conn, answer }));
            }
            RouteMessage::Answer { conn, answer } => self.answer(conn, answer),
            RouteMessage::Count { from, conn } => {
                let counters = Box::new(self.count());
                self.act(Action::Route(from, RouteMessage::Counted { conn, counters }));
            }
            RouteMessage::Counted { conn, counters } => self.counted(conn, &counters),
        }
    }

    fn answer(&mut self, conn: ConnId, answer: ControlAnswer) {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get(conn) else { return };
        if !matches!(http.state, HttpState::Routed) {
            return;
        }
        let id = match answer {
            ControlAnswer::Done(id) | ControlAnswer::Queued(id) => Some(id.to_string()),
            ControlAnswer::NotFound | ControlAnswer::Full | ControlAnswer::OtherConnection => None,
        };
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        headers.extend(id.as_ref().map(|id| ("X-Connection-Id", id.as_bytes())));
        if answer == ControlAnswer::Full {
            headers.push(("Retry-After", b"1"));
        }
        self.respond(conn, answer.status(), &headers, answer.text().as_bytes());
    }

    fn control(&mut self, request: ControlRequest) -> ControlAnswer {
        let push = matches!(request.operation, Operation::Push { .. });
        let only = request.only.filter(|_| !self.canary(Canary::IfMatchIgnored));
        let answer = match self.target(&request.client, only.as_deref()) {
            Ok(id) => self.operate(id, request.operation),
            Err(answer) => answer,
        };
        if push {
            self.counters.pushed(match answer {
                ControlAnswer::Done(_) => Pushed::Ok,
                ControlAnswer::Queued(_) => Pushed::Queued,
                ControlAnswer::NotFound => Pushed::NotFound,
                ControlAnswer::Full => Pushed::Full,
                ControlAnswer::OtherConnection => Pushed::OtherConnection,
            });
        }
        answer
    }

    /// The connection that a control request means: the one that it names; else the open one, or else the one
    /// that the API is deciding about or has just let in.
    fn target(&self, client: &ClientId, only: Option<&str>) -> Result<SessionId, ControlAnswer> {
        let first = self.router.first(&self.sessions, client).ok_or(ControlAnswer::NotFound)?;
        let mut found = ControlAnswer::NotFound;
        for id in self.chain(first).filter(|id| self.takes_control(*id)) {
            if only.is_none_or(|only| self.is_named(id, only)) {
                return Ok(id);
            }
            found = ControlAnswer::OtherConnection;
        }
        Err(found)
    }

    fn takes_control(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some_and(|session| match session.stage {
            Stage::Open => true,
            Stage::Authorising { gone, .. } => gone.is_none(),
            Stage::Authorised(_) => session.socket.is_some(),
            Stage::Waiting | Stage::Ending(_) => false,
        })
    }

    fn is_named(&self, id: SessionId, only: &str) -> bool {
        self.sessions.get(id).is_some_and(|session| self.connection_id(session.serial).to_string() == only)
    }

    fn operate(&mut self, id: SessionId, operation: Operation) -> ControlAnswer {
        let Some(session) = self.sessions.get(id) else { return ControlAnswer::NotFound };
        let open = matches!(session.stage, Stage::Open);
        let connection = self.connection_id(session.serial);
        match operation {
            Operation::Push { text, payload } => self.push(id, text, payload),
            Operation::Kick { .. } | Operation::Head if !open => ControlAnswer::NotFound,
            Operation::Kick { code, reason } => {
                self.close_session(id, code, &reason);
                ControlAnswer::Done(connection)
            }
            Operation::Head => ControlAnswer::Done(connection),
        }
    }

    fn push(&mut self, id: SessionId, text: bool, payload: Bytes) -> ControlAnswer {
        let Some(Session { socket: Some(conn), stage, serial, .. }) = self.sessions.get(id) else {
            return ControlAnswer::NotFound;
        };
        let (conn, connection) = (*conn, self.connection_id(*serial));
        let open = matches!(stage, Stage::Open);
        let Some(socket) = self.sockets.get(conn) else { return ControlAnswer::NotFound };
        let bounded = !self.canary(Canary::SendQueueUnbounded);
        if bounded && !socket.send.takes(payload.len(), self.config.send_queue) {
            return ControlAnswer::Full;
        }
        if open {
            self.enqueue_message(conn, text, payload);
            return ControlAnswer::Done(connection);
        }
        if self.canary(Canary::QueuedPushTwice) {
            self.enqueue_early(conn, text, payload.clone());
        }
        if !self.canary(Canary::QueuedPushDropped) {
            self.enqueue_early(conn, text, payload);
        }
        ControlAnswer::Queued(connection)
    }
}
