//! Time passes: what is due, and when to look again.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tungstenite::protocol::frame::coding::Control;

use super::Gateway;
use super::canary::Canary;
use crate::call::CallFailure;
use crate::http::Refusal;
use crate::session::SessionId;
use crate::socket::{HttpState, Socket, Wire};
use crate::{ConnId, Timestamp};

/// A deadline that is looked at so late shows that this process, or its machine, stood still.
const LATE: Duration = Duration::from_millis(250);

/// After that, sockets have so long to bring what they received, and to take what they are to send,
/// before they are judged.
const GRACE: Duration = Duration::from_millis(250);

/// How often in a row, where it stands still again and again.
const GRACES: u8 = 4;

impl Gateway {
    /// Does everything that is due.
    pub(super) fn expire(&mut self) {
        while let Some(call) = self.calls.expired(self.now) {
            self.give_up_call(call, CallFailure::Timeout);
        }
        while let Some((at, conn)) = self.timers.due(self.now) {
            let Some(socket) = self.sockets.get_mut(conn).filter(|socket| socket.armed == at) else { continue };
            if self.now.since(at) >= LATE && socket.spared < GRACES {
                socket.spared += 1;
                socket.armed = self.now + GRACE;
                self.timers.push(socket.armed, conn);
            } else {
                socket.spared = 0;
                self.socket_due(conn);
            }
        }
        self.retries.wake(self.now);
        self.start_repeats();
        self.end_repeats();
        self.continue_drain();
        let sockets = &self.sockets;
        self.timers.sweep(sockets.len(), |at, conn| sockets.get(conn).is_some_and(|socket| socket.armed == at));
    }

    /// When a quiet client is to be pinged.
    fn ping_due(&self, socket: &Socket) -> Timestamp {
        match self.config.ping_interval {
            Some(interval) if matches!(socket.wire, Wire::WebSocket) && socket.pong_due == Timestamp::NEVER => {
                socket.last_seen + interval
            }
            _ => Timestamp::NEVER,
        }
    }

    /// Sees to it that the socket is looked at when its next deadline comes.
    pub(super) fn arm(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get(conn) else { return };
        let next = socket.deadline.min(socket.stall_due).min(socket.pong_due).min(self.ping_due(socket));
        // At the end of its grace, everything is looked at.
        if next >= socket.armed || socket.spared > 0 {
            return;
        }
        self.timers.push(next, conn);
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.armed = next;
        }
    }

    fn socket_due(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.armed = Timestamp::NEVER;
        if socket.stall_due <= self.now {
            return self.drop_client(conn, "send timeout");
        }
        // Whether the client has taken nothing, since it was challenged, of what stands before the ping.
        let since_challenge = socket.pong_due + self.config.send_timeout;
        let stuck =
            socket.stall_due != Timestamp::NEVER && socket.stall_due + self.config.pong_timeout <= since_challenge;
        if socket.paused && !(socket.challenged && stuck) {
            // It is we who do not read: no sign of life can be expected.
            socket.last_seen = self.now;
            self.excuse(conn);
        } else if socket.pong_due <= self.now {
            if socket.challenged || socket.stall_due == Timestamp::NEVER {
                return self.drop_client(conn, "ping timeout");
            }
            // Messages wait for the client to read them: the send timeout watches instead.
            self.excuse(conn);
        }
        let Some(socket) = self.sockets.get(conn) else { return };
        if socket.deadline <= self.now {
            self.deadline_passed(conn);
        } else if self.ping_due(socket) <= self.now {
            self.ping(conn);
        }
        self.arm(conn);
    }

    /// Takes a client that owes a sign of life for alive.
    pub(super) fn excuse(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if std::mem::replace(&mut socket.pong_due, Timestamp::NEVER) == Timestamp::NEVER {
            return;
        }
        socket.last_seen = self.now;
        let challenged = std::mem::take(&mut socket.challenged);
        // The next ping may be due before the pong would have been.
        self.arm(conn);
        if challenged {
            self.challenge_answered(conn);
        }
    }

    fn ping(&mut self, conn: ConnId) {
        let forgets = self.canary(Canary::PongDeadlineForgotten);
        let due = if forgets { Timestamp::NEVER } else { self.now + self.config.pong_timeout };
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if forgets {
            socket.last_seen = self.now;
        }
        if socket.send.is_empty() {
            socket.pong_due = due;
            self.enqueue_control(conn, Control::Ping, Bytes::new());
            self.arm(conn);
        } else {
            // A ping would wait behind what the client has not read; the send timeout watches that.
            socket.last_seen = self.now;
        }
    }

    /// Asks an open client for a sign of life, because another connect wants its id.
    pub(super) fn challenge(&mut self, first: SessionId) {
        let Some(conn) = self.sessions.get(first).and_then(|session| session.socket) else { return };
        let due = self.now + self.config.pong_timeout;
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        if std::mem::replace(&mut socket.challenged, true) {
            return;
        }
        // While messages wait for the client, an earlier ping counts for nothing.
        let waits = socket.stall_due != Timestamp::NEVER;
        socket.pong_due = if waits { due } else { socket.pong_due.min(due) };
        self.enqueue_control(conn, Control::Ping, Bytes::new());
        self.arm(conn);
    }

    /// Gives a client up that shows no life.
    fn drop_client(&mut self, conn: ConnId, how: &'static str) {
        self.act(crate::Action::Close(conn));
        self.socket_lost(conn, how);
    }

    fn deadline_passed(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.deadline = Timestamp::NEVER;
        let session = socket.session;
        match &socket.wire {
            Wire::Http(_) => self.request_late(conn),
            Wire::Handshake(_) => {
                if let Some(session) = session {
                    self.wait_over(session);
                }
            }
            Wire::CloseReceived(_) => {
                self.answer_close(conn);
                // Messages may have waited for the client to read their answers, which go nowhere now.
                if let Some(session) = session {
                    self.start_messages(session);
                }
            }
            Wire::WebSocket => {}
            // What is left has not been offered to the socket yet: it is we who are late.
            Wire::Finishing if !socket.send.is_empty() && socket.stall_due == Timestamp::NEVER => {
                socket.deadline = self.now + self.config.close_timeout;
            }
            Wire::CloseSent | Wire::Finishing | Wire::Lingering => self.close_socket(conn),
        }
    }

    /// A request that does not get on (contract, section 9).
    fn request_late(&mut self, conn: ConnId) {
        let limit = self.config.handshake_timeout;
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let Wire::Http(http) = &socket.wire else { return };
        match http.state {
            HttpState::Body(_) if socket.last_seen + limit > self.now => {
                socket.deadline = socket.last_seen + limit;
                self.arm(conn);
            }
            HttpState::Head if http.reused => self.close_socket(conn),
            HttpState::Head | HttpState::Body(_) => {
                self.refuse_request(conn, Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long"));
            }
            HttpState::Routed | HttpState::Scraping(_) | HttpState::Responding => {}
        }
    }
}
