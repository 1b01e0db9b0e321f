//! What clients do.

use super::state::{CloseSent, Socket};
use super::{Cut, Dial, Misbehaviour, Model, Sent, SocketId};

impl Model {
    pub(super) fn dialled(&mut self, id: SocketId, dial: Dial) {
        let client = dial.client.clone();
        let after_drain = self.state.drain.is_some();
        let before = self.state.sockets.insert(id, Socket::new(dial, self.now, after_drain));
        assert!(before.is_none(), "{id:?} is dialled twice");
        self.client(&client).sockets.push(id);
    }

    pub(super) fn sent(&mut self, id: SocketId, sent: Sent) {
        let now = self.now;
        let seen = self.socket(id).life.map_or(0, |life| self.state.lives[life].seen);
        let socket = self.socket(id);
        socket.spoke = true;
        if socket.garbage || socket.close_sent.is_some() {
            // Nothing counts any more.
            return;
        }
        match sent {
            Sent::Message(payload) => socket.messages.push(payload),
            Sent::Ping => socket.pings += 1,
            Sent::Pong => {}
            Sent::Close(close) => {
                let (code, reason) = close.unwrap_or((1005, String::new()));
                let behind = seen < socket.messages.len();
                socket.close_sent = Some(CloseSent { code, reason, at: now, behind });
            }
            Sent::Garbage => socket.garbage = true,
        }
    }

    pub(super) fn cut(&mut self, id: SocketId, cut: Cut) {
        let now = self.now;
        let seen = self.socket(id).life.map_or(0, |life| self.state.lives[life].seen);
        let socket = self.socket(id);
        socket.cuts.push(cut);
        // Whom the gateway does not read from it cannot miss.
        if cut == Cut::Vanished && seen == socket.messages.len() {
            socket.vanished = Some(now);
        }
        if cut == Cut::Reset && socket.vanished.is_some() {
            socket.revealed.get_or_insert(now);
        }
    }

    pub(super) fn misbehaves(&mut self, id: SocketId, how: Misbehaviour) {
        let socket = self.socket(id);
        match how {
            Misbehaviour::Silent => socket.silent = true,
            Misbehaviour::NotReading => socket.not_reading = true,
        }
    }
}
