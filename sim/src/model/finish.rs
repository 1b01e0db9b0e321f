//! What must have happened when all has settled, and in the end.

use ws2http_core::Timestamp;

use super::state::{Get, LifeId};
use super::{Law, Model, SocketId};

/// The longest pause between two attempts of a DELETE.
const LONGEST_PAUSE_SECS: u64 = 30;

impl Model {
    /// Everything that was on its way has arrived, where the client is still there.
    pub(super) fn settled(&mut self) {
        let ids: Vec<SocketId> = self.state.sockets.keys().copied().collect();
        for id in ids {
            let socket = &self.state.sockets[&id];
            let waits = socket.answer.is_none() && socket.is_sound();
            self.judge(Law::HandshakeAnswer, !waits, || {
                format!("{id:?} has not been answered, though all has settled")
            });
            let socket = &self.state.sockets[&id];
            if !socket.is_sound() || !socket.opened_before(self.step) {
                continue;
            }
            let Some(life) = socket.life else { continue };
            let (sent, seen) = (socket.messages.len(), self.state.lives[life].seen);
            self.judge(Law::MessageOrder, sent == seen, || {
                format!("{id:?} is open and sent {sent} messages, but {seen} have reached the API")
            });
            self.judge_nothing_missing(life, "though all has settled", true);
            self.judge_last_reply(life);
        }
    }

    /// The answer to the last message has nothing behind it that would show when it was queued.
    fn judge_last_reply(&mut self, life: LifeId) {
        let state = &self.state.lives[life];
        let missing = state.replies.iter().find(|reply| reply.sure && !reply.heard);
        let missing = missing.map(|reply| super::show(&reply.payload));
        let connection = state.connection.clone();
        self.judge(Law::Delivery, missing.is_none(), || {
            format!("{connection} has not heard its answer {}", missing.unwrap_or_default())
        });
    }

    /// The gateway says that it gave a DELETE up (section 6).
    pub(super) fn disconnect_lost(&mut self, connection: &str) {
        let Some(life) = self.state.connections.get(connection).copied() else {
            return self.judge(Law::OneDelete, false, || format!("the DELETE of {connection}, unheard of, is lost"));
        };
        let retry = self.settings.config.disconnect_retry;
        let now = self.now;
        let slack = self.api_slack();
        let draining = self.state.drain.is_some();
        let state = self.life(life);
        state.delete.lost = true;
        state.ended = Some(now);
        let first = state.delete.first_failed;
        // The gateway knows of the failure later than the API, and gives up when the next pause would
        // end too late. A pause is twice as long as the one before.
        let patient = first.is_some_and(|first| {
            let tried = now.since(first) + slack;
            tried + tried.max(std::time::Duration::from_millis(500)) * 4 >= retry
                || tried.as_secs() + LONGEST_PAUSE_SECS >= retry.as_secs() && tried.as_secs() > LONGEST_PAUSE_SECS
        });
        let taken = state.delete.taken;
        let attempts = state.delete.attempts;
        self.judge(Law::OneDelete, !taken, || format!("the DELETE of {connection} was taken and is called lost"));
        self.judge(Law::OneDelete, patient || draining, || {
            format!("the DELETE of {connection} was given up too soon: first failed {first:?}, {attempts} attempts")
        });
    }

    pub(super) fn finished(&mut self) {
        self.judge_flights();
        for life in 0..self.state.lives.len() {
            self.judge_end_of(life);
        }
        let ids: Vec<SocketId> = self.state.sockets.keys().copied().collect();
        for id in ids {
            let socket = &self.state.sockets[&id];
            let left = !socket.cuts.is_empty() || socket.closed || socket.dead;
            let answered = socket.answer.is_some() || left;
            self.judge(Law::HandshakeAnswer, answered, || format!("{id:?} has never been answered"));
        }
        let unanswered = self.state.controls.iter().find(|(_, control)| control.answer.is_none() && !control.lost);
        let unanswered = unanswered.map(|(id, _)| *id);
        self.judge(Law::ControlAnswer, unanswered.is_none(), || format!("{unanswered:?} has never been answered"));
        self.judge_emptiness();
        self.judge_metrics();
    }

    fn judge_flights(&mut self) {
        let flying = self.state.requests.iter().find(|(_, request)| !request.ended && request.life.is_some());
        let flying = flying.map(|(id, request)| format!("{id:?} ({} {})", request.what.method, request.what.path));
        self.judge(Law::Drain, flying.is_none(), || {
            format!("{} is still under way in the end", flying.unwrap_or_default())
        });
    }

    fn judge_end_of(&mut self, life: LifeId) {
        let state = &self.state.lives[life];
        let owed = matches!(state.get, Get::Ok(_)) && !state.finished;
        let delete = &state.delete;
        let had = delete.taken || delete.perhaps_taken || delete.lost;
        let (connection, attempts) = (state.connection.clone(), delete.attempts);
        self.judge(Law::OneDelete, !owed || had, || {
            format!("{connection} was let in, and no DELETE of it was taken ({attempts} attempts)")
        });
    }

    fn judge_emptiness(&mut self) {
        let holdings: Vec<_> = self.state.holdings.values().copied().collect();
        for held in holdings {
            let empty = held.sockets == 0
                && held.sessions == 0
                && held.calls_in_flight + held.calls_waiting + held.messages + held.chunks + held.send_bytes == 0
                && !held.timer;
            self.judge(Law::Drain, empty, || format!("left over in the end: {held:?}"));
        }
        let undone = self.state.drain.is_some() && !self.state.drained;
        let drain: Option<Timestamp> = self.state.drain;
        self.judge(Law::Drain, !undone, || format!("the drain that began at {drain:?} has not ended"));
    }
}
