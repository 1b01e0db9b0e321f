//! What a shard holds, for those who test it.

use super::Gateway;

/// How much a shard holds at a moment. After everything has ended all of it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Sockets of any kind.
    pub sockets: usize,
    /// Connections from the moment they were let in line to the end of their `DELETE`.
    pub sessions: usize,
    /// Calls sent to the API and not answered.
    pub calls_in_flight: usize,
    /// Calls that wait for a connection to the API.
    pub calls_waiting: usize,
    /// Messages that wait for their call.
    pub messages: usize,
    /// Chunks in all send queues.
    pub chunks: usize,
    /// Bytes in all send queues.
    pub send_bytes: usize,
    /// The most messages that wait for one client.
    pub most_messages: usize,
    /// The most bytes of waiting messages of one client.
    pub most_message_bytes: usize,
    /// The most that one client's send queue takes up, in bytes; answers to control requests do not count.
    pub most_send_bytes: usize,
}

impl Gateway {
    /// Counts what this shard holds. Walks over all sockets and connections: for tests and
    /// simulations, which check limits by it and that nothing is left over.
    pub fn holdings(&self) -> Holdings {
        let mut held = Holdings {
            sockets: self.sockets.len(),
            sessions: self.sessions.len(),
            calls_in_flight: self.calls.in_flight(),
            calls_waiting: self.calls.queued(),
            messages: self.messages.len(),
            chunks: self.chunks.len(),
            ..Holdings::default()
        };
        for (_, session) in (0..self.sessions.slots()).filter_map(|slot| self.sessions.at(slot)) {
            held.most_messages = held.most_messages.max(session.waiting_count as usize);
            held.most_message_bytes = held.most_message_bytes.max(session.waiting_bytes);
        }
        for (_, socket) in (0..self.sockets.slots()).filter_map(|slot| self.sockets.at(slot)) {
            held.send_bytes += socket.send.bytes();
            if socket.session.is_some() {
                held.most_send_bytes = held.most_send_bytes.max(socket.send.cost());
            }
        }
        held
    }
}
