//! Bytes out: send queues, answers, the orderly end of a socket.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Gateway;
use crate::ConnId;
use crate::Timestamp;
use crate::event::Action;
use crate::http::write_response;
use crate::send_queue::Chunk;
use crate::socket::{HttpState, Socket, Wire};
use crate::ws::{close_payload, frame_head};

/// The most that is given to a socket at once.
const TRANSMIT: usize = 64 * 1024;

/// How long bytes are read and thrown away after FIN.
pub(super) const LINGER: Duration = Duration::from_secs(1);

impl Gateway {
    /// Copies the next bytes for the socket.
    pub(super) fn fill(&self, conn: ConnId, buffer: &mut Vec<u8>) {
        let Some(socket) = self.sockets.get(conn) else { return };
        if matches!(socket.wire, Wire::Handshake(_)) {
            // Pushes wait behind the 101.
            return;
        }
        socket.send.copy(&self.chunks, buffer, TRANSMIT);
    }

    /// The socket took `count` bytes.
    pub(super) fn sent(&mut self, conn: ConnId, count: usize) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let offered = socket.send.bytes().min(TRANSMIT);
        let was_full = socket.stall_due != Timestamp::NEVER;
        socket.send.written(&mut self.chunks, count);
        if count >= offered {
            socket.stall_due = Timestamp::NEVER;
        } else if count > 0 || !was_full {
            socket.stall_due = self.now + self.config.send_timeout;
            self.arm(conn);
        }
        if was_full && count > 0 {
            // A full socket takes bytes again when the other end has taken some: as good as an answer to a
            // ping, which waits behind them.
            self.excuse(conn);
        }
        if self.sockets.get(conn).is_some_and(|socket| socket.send.is_empty()) {
            self.flushed(conn);
        }
        if count > 0
            && let Some(session) = self.session_of(conn)
        {
            // Calls that waited for room in the send queue.
            self.start_messages(session);
        }
        self.consider_resume(conn);
    }

    /// Everything is on its way: what was to follow.
    fn flushed(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        match &mut socket.wire {
            Wire::Finishing if socket.eof => self.close_socket(conn),
            Wire::Finishing => {
                socket.wire = Wire::Lingering;
                socket.deadline = self.now + LINGER;
                self.arm(conn);
                self.act(Action::Shutdown(conn));
            }
            Wire::Http(http) if matches!(http.state, HttpState::Responding) => {
                // Requests that came before the end are still answered.
                if http.keep_alive && !(socket.eof && http.buffer.is_empty()) {
                    self.next_request(conn);
                } else {
                    self.finish(conn);
                }
            }
            Wire::Http(_)
            | Wire::Handshake(_)
            | Wire::WebSocket
            | Wire::CloseSent
            | Wire::CloseReceived(_)
            | Wire::Lingering => {}
        }
    }

    pub(super) fn enqueue(&mut self, conn: ConnId, chunk: Chunk) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        // Whoever has found the socket full goes on by itself when it takes bytes again.
        let stuck = !socket.send.is_empty() && socket.stall_due != Timestamp::NEVER;
        socket.send.push_back(&mut self.chunks, chunk);
        if !stuck && !matches!(socket.wire, Wire::Handshake(_)) {
            self.act(Action::Transmit(conn));
        }
    }

    /// Puts the 101 before the pushes that wait for it.
    pub(super) fn enqueue_first(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.send.push_front(&mut self.chunks, Chunk::plain(bytes.into()));
        self.act(Action::Transmit(conn));
    }

    pub(super) fn clear_send_queue(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        socket.send.clear(&mut self.chunks);
    }

    fn enqueue_frame(&mut self, conn: ConnId, opcode: OpCode, payload: Bytes) {
        let (head, head_len) = frame_head(opcode, payload.len());
        self.enqueue(conn, Chunk { head, head_len, payload });
    }

    /// Queues a message for an open connection.
    pub(super) fn enqueue_message(&mut self, conn: ConnId, text: bool, payload: Bytes) {
        self.counters.sent(text, payload.len());
        self.enqueue_early(conn, text, payload);
    }

    /// Queues a message that waits for the 101; it counts as sent when that goes out.
    pub(super) fn enqueue_early(&mut self, conn: ConnId, text: bool, payload: Bytes) {
        let data = if text { Data::Text } else { Data::Binary };
        self.enqueue_frame(conn, OpCode::Data(data), payload);
    }

    /// Counts the messages that have waited for the 101.
    pub(super) fn count_early(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get(conn) else { return };
        for message in socket.send.iter(&self.chunks) {
            self.counters.sent(message.is_text(), message.payload.len());
        }
    }

    pub(super) fn enqueue_control(&mut self, conn: ConnId, control: Control, payload: Bytes) {
        self.enqueue_frame(conn, OpCode::Control(control), payload);
    }

    /// Queues our close frame and waits for the client's.
    pub(super) fn send_close(&mut self, conn: ConnId, code: u16, reason: &str) {
        self.enqueue_control(conn, Control::Close, close_payload(code, reason));
        self.set_wire(conn, Wire::CloseSent, self.config.close_timeout);
        // Its close frame may lie among what waited for room.
        self.read_frames(conn, &mut []);
    }

    /// Queues our close frame as the last thing on the socket.
    pub(super) fn send_last_close(&mut self, conn: ConnId, code: u16, reason: &str) {
        self.enqueue_control(conn, Control::Close, close_payload(code, reason));
        self.finish(conn);
    }

    /// Lets the send queue go out, then ends the socket in order.
    pub(super) fn finish(&mut self, conn: ConnId) {
        self.set_wire(conn, Wire::Finishing, self.config.close_timeout);
        if self.sockets.get(conn).is_some_and(|socket| socket.send.is_empty()) {
            self.flushed(conn);
        }
    }

    /// Moves a socket on, with a deadline for what follows.
    pub(super) fn set_wire(&mut self, conn: ConnId, wire: Wire, limit: Duration) {
        let deadline = self.now + limit;
        let was_read = self.wants_read(conn);
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        self.http_sockets -= usize::from(matches!(socket.wire, Wire::Http(_)));
        if !matches!(wire, Wire::CloseSent) {
            // No more frames are read.
            socket.decoder.clear_stash();
        }
        socket.wire = wire;
        socket.deadline = deadline;
        socket.pong_due = Timestamp::NEVER;
        socket.paused = false;
        self.arm(conn);
        if !was_read && self.wants_read(conn) {
            self.act(Action::Resume(conn));
        }
    }

    /// Answers the HTTP request under way.
    pub(super) fn respond(&mut self, conn: ConnId, status: StatusCode, headers: &[(&str, &[u8])], body: &[u8]) {
        let Some(Socket { wire: Wire::Http(http), .. }) = self.sockets.get_mut(conn) else { return };
        let mut bytes = Vec::with_capacity(160 + body.len());
        let connection = match http.keep_alive {
            false => Some("close"),
            true => http.http_10.then_some("keep-alive"),
        };
        write_response(&mut bytes, status, headers, body, connection, http.head_only);
        http.state = HttpState::Responding;
        self.set_deadline(conn, Timestamp::NEVER);
        self.enqueue(conn, Chunk::plain(bytes.into()));
    }

    pub(super) fn set_deadline(&mut self, conn: ConnId, deadline: Timestamp) {
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.deadline = deadline;
            self.arm(conn);
        }
    }

    /// Closes a socket now.
    pub(super) fn close_socket(&mut self, conn: ConnId) {
        if self.drop_socket(conn).is_some() {
            self.act(Action::Close(conn));
        }
    }

    /// Forgets a socket; its session goes on without it.
    pub(super) fn drop_socket(&mut self, conn: ConnId) -> Option<Socket> {
        let socket = self.take_socket(conn)?;
        self.shared.sockets.fetch_sub(1, Ordering::Relaxed);
        Some(socket)
    }

    /// Takes a socket out of this shard. To the process it still counts.
    pub(super) fn take_socket(&mut self, conn: ConnId) -> Option<Socket> {
        self.clear_send_queue(conn);
        let socket = self.sockets.remove(conn)?;
        self.http_sockets -= usize::from(matches!(socket.wire, Wire::Http(_)));
        if let Some(session) = socket.session.and_then(|id| self.sessions.get_mut(id)) {
            session.socket = None;
        }
        Some(socket)
    }
}
