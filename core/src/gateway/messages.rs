//! Messages of clients and their answers (contract, section 4).

use tungstenite::protocol::frame::coding::Control;

use super::Gateway;
use super::canary::Canary;
use crate::OnApiFailure;
use crate::call::{CallKind, Outcome};
use crate::control::is_binary;
use crate::event::Action;
use crate::session::{Message, SessionId, Stage};
use crate::socket::{Socket, Wire};
use crate::ws::{Item, Violation};
use crate::{ConnId, Timestamp};

impl Gateway {
    /// Reads frames for as long as there is room for what they carry.
    pub(super) fn read_frames(&mut self, conn: ConnId, bytes: &mut [u8]) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let mut stashed = socket.decoder.unstash(bytes);
        let mut input = stashed.as_deref_mut().unwrap_or(bytes);
        loop {
            let room = self.has_room(conn);
            let Some(socket) = self.sockets.get_mut(conn) else { return };
            if !matches!(socket.wire, Wire::WebSocket | Wire::CloseSent) {
                return;
            }
            if !room {
                socket.paused = true;
                socket.decoder.stash(input);
                return;
            }
            match socket.decoder.next(&mut input, self.config.max_message) {
                Ok(Some(item)) => self.on_item(conn, item),
                Ok(None) => return,
                Err(violation) => return self.on_violation(conn, violation),
            }
        }
    }

    /// Room for one more message of this client, and for what it may be answered.
    fn has_room(&self, conn: ConnId) -> bool {
        let Some(socket) = self.sockets.get(conn) else { return false };
        let Some(session) = socket.session.and_then(|id| self.sessions.get(id)) else { return true };
        let limit = self.config.receive_queue_messages + u32::from(self.canary(Canary::ReceiveQueueOffByOne));
        !matches!(socket.wire, Wire::WebSocket)
            || (session.waiting_count < limit
                && session.waiting_bytes < self.config.receive_queue_bytes
                && socket.send.cost() < self.config.send_queue)
    }

    fn on_item(&mut self, conn: ConnId, item: Item) {
        let Some(Socket { wire, session, .. }) = self.sockets.get(conn) else { return };
        let open = matches!(wire, Wire::WebSocket);
        let session = *session;
        match item {
            Item::Close(_) if !open => self.finish(conn),
            Item::Message { .. } | Item::Ping(_) | Item::Pong if !open => {}
            Item::Message { text, payload } => {
                if let Some(id) = session {
                    self.take_message(id, Message { text, payload });
                }
            }
            Item::Ping(payload) => self.enqueue_control(conn, Control::Pong, payload),
            Item::Pong => {}
            Item::Close(info) => {
                self.set_wire(conn, Wire::CloseReceived(info.code), self.config.close_timeout);
                if let Some(id) = session {
                    self.end_session(id, info.code, &info.reason);
                }
                if self.canary(Canary::CloseAnsweredEarly) {
                    self.answer_close(conn);
                }
            }
        }
    }

    /// The client broke the protocol: it is told how, and that was all.
    fn on_violation(&mut self, conn: ConnId, violation: Violation) {
        let Some(socket) = self.sockets.get(conn) else { return };
        let session = socket.session;
        if matches!(socket.wire, Wire::CloseSent) {
            return self.finish(conn);
        }
        self.send_last_close(conn, violation.code, violation.reason);
        if let Some(id) = session {
            self.end_session(id, violation.code, violation.reason);
        }
    }

    fn take_message(&mut self, id: SessionId, message: Message) {
        let last_first = self.canary(Canary::LastMessageFirst);
        let Some(session) = self.sessions.get_mut(id) else { return };
        self.counters.messages_received[usize::from(!message.text)] += 1;
        self.counters.message_bytes_received += message.payload.len() as u64;
        self.waiting_messages += 1;
        session.waiting_count += 1;
        session.waiting_bytes += message.payload.len();
        if last_first {
            self.messages.push_front(&mut session.waiting, message);
        } else {
            self.messages.push_back(&mut session.waiting, message);
        }
        self.start_messages(id);
    }

    /// Turns waiting messages into calls, in order, as many at once as is allowed; after the last
    /// call of a session that is ending comes its DELETE.
    pub(super) fn start_messages(&mut self, id: SessionId) {
        loop {
            let full = self.reads_too_slowly(id);
            let Some(session) = self.sessions.get_mut(id) else { return };
            if session.calls >= self.config.calls_per_client || full {
                break;
            }
            let Some(message) = self.messages.pop_front(&mut session.waiting) else { break };
            self.waiting_messages -= 1;
            session.waiting_count -= 1;
            session.waiting_bytes -= message.payload.len();
            session.calls += 1;
            self.calls.add(id, CallKind::Message { text: message.text }, message.payload, self.now);
        }
        self.start_disconnect(id);
    }

    /// A client that does not read its answers gets no more of them made, for as long as they would
    /// go to it: until our close frame is queued.
    fn reads_too_slowly(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let Some(socket) = session.socket.and_then(|conn| self.sockets.get(conn)) else { return false };
        matches!(socket.wire, Wire::WebSocket | Wire::CloseReceived(_)) && socket.send.cost() >= self.config.send_queue
    }

    /// The API has answered a message, or has not.
    pub(super) fn message_answered(&mut self, id: SessionId, outcome: Outcome) {
        if self.canary(Canary::AnswerToSuccessor) {
            self.answer_successor(id, &outcome);
        }
        let tells_failures = self.canary(Canary::FailureToldToClient);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.calls -= 1;
        let conn = session.socket;
        match outcome {
            Ok(response) if response.status().is_success() || tells_failures => {
                let text = !is_binary(response.headers());
                let payload = response.into_body();
                if let Some(conn) = conn.filter(|conn| !payload.is_empty() && self.takes_messages(*conn)) {
                    self.enqueue_message(conn, text, payload);
                }
            }
            Ok(_) | Err(_) => {
                let open = matches!(session.stage, Stage::Open);
                if open && self.config.on_api_failure == OnApiFailure::Close {
                    self.close_session(id, 1011, "the API failed");
                }
            }
        }
        self.start_messages(id);
        if let Some(conn) = conn {
            self.consider_resume(conn);
        }
    }

    /// What [`Canary::AnswerToSuccessor`] does, if there is one.
    fn answer_successor(&mut self, id: SessionId, outcome: &Outcome) {
        let next = self.sessions.get(id).and_then(|session| session.next);
        let conn = next.and_then(|next| self.sessions.get(next)).and_then(|next| next.socket);
        if let (Some(conn), Ok(response)) = (conn, outcome)
            && response.status().is_success()
            && !response.body().is_empty()
        {
            self.enqueue_message(conn, !is_binary(response.headers()), response.body().clone());
        }
    }

    /// Until our close frame is queued, answers still go out.
    fn takes_messages(&self, conn: ConnId) -> bool {
        let socket = self.sockets.get(conn);
        socket.is_some_and(|socket| matches!(socket.wire, Wire::WebSocket | Wire::CloseReceived(_)))
    }

    /// Remembers a socket that was paused and has room again.
    pub(super) fn consider_resume(&mut self, conn: ConnId) {
        if self.sockets.get(conn).is_some_and(|socket| socket.paused) && self.has_room(conn) {
            self.resumable.push_back(conn);
        }
    }

    /// Goes on with what was stashed; when that leaves room, with reading.
    pub(super) fn resume_all(&mut self) {
        while let Some(conn) = self.resumable.pop_front() {
            let room = self.has_room(conn);
            let Some(socket) = self.sockets.get_mut(conn) else { continue };
            if !socket.paused || !room {
                continue;
            }
            socket.paused = false;
            socket.last_seen = self.now;
            if socket.pong_due != Timestamp::NEVER {
                // The pong may lie among what we did not read.
                socket.pong_due = self.now + self.config.pong_timeout;
            }
            self.read_frames(conn, &mut []);
            if self.sockets.get(conn).is_some_and(|socket| !socket.paused) && !self.canary(Canary::ResumeForgotten) {
                self.act(Action::Resume(conn));
            }
        }
    }
}
