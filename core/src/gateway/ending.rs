//! From the end of a connection to the answer of its DELETE (contract, section 6).

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Gateway;
use super::canary::Canary;
use super::connect::Denial;
use crate::call::{CallKind, Outcome};
use crate::event::Report;
use crate::session::{Ending, EndingStep, SessionId, Stage};
use crate::socket::Wire;
use crate::{ConnId, Timestamp};

/// The longest pause before a repeat while there is little time left.
const PAUSE_IN_DRAIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// The client's socket is gone.
    pub(super) fn client_gone(&mut self, id: SessionId, how: &'static str) {
        if how == "connection reset" && self.canary(Canary::DeleteLostOnReset) {
            return self.remove_session(id);
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        match &mut session.stage {
            Stage::Waiting => self.remove_session(id),
            Stage::Authorising { call, gone } => {
                let call = *call;
                *gone = Some(how);
                if self.calls.get(call).is_some_and(|call| !call.in_flight) {
                    // Nobody has been asked yet.
                    self.calls.remove(call);
                    self.withdraw(id);
                } else {
                    self.limit_waits(id);
                }
            }
            Stage::Authorised(_) | Stage::Open => self.end_session(id, 1006, how),
            // Messages may have waited for the client to read their answers.
            Stage::Ending(_) => self.start_messages(id),
        }
    }

    /// Closes an open connection from our side, with a close frame.
    pub(super) fn close_session(&mut self, id: SessionId, code: u16, reason: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        if let Some(conn) = session.socket {
            self.send_close(conn, code, reason);
        }
        self.end_session(id, code, reason);
    }

    /// The end of a connection that the API said ok to: its DELETE follows its other calls.
    pub(super) fn end_session(&mut self, id: SessionId, code: u16, reason: &str) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match session.stage {
            Stage::Ending(_) => return,
            Stage::Open => {
                self.counters.active_connections -= 1;
                self.counters.closed(code);
            }
            Stage::Waiting | Stage::Authorising { .. } | Stage::Authorised(_) => {}
        }
        let (step, failing_since) = (EndingStep::Before, Timestamp::NEVER);
        session.stage =
            Stage::Ending(Box::new(Ending { code, reason: reason.to_owned(), attempts: 0, failing_since, step }));
        self.counters.disconnects_pending += 1;
        if self.is_first(id) {
            self.limit_waits(id);
        }
        self.start_messages(id);
    }

    fn is_first(&self, id: SessionId) -> bool {
        let session = self.sessions.get(id);
        session.is_some_and(|session| self.router.first(&self.sessions, &session.client) == Some(id))
    }

    /// Sends the DELETE if everything before it is done; says whether it did.
    pub(super) fn start_disconnect(&mut self, id: SessionId) -> bool {
        let ending = self.sessions.get(id).is_some_and(|session| matches!(session.stage, Stage::Ending(_)));
        if !ending || !self.is_first(id) {
            return false;
        }
        let early = self.canary(Canary::DeleteEarly);
        let Some(session) = self.sessions.get_mut(id) else { return false };
        if (session.calls > 0 && !early) || !session.waiting.is_empty() {
            return false;
        }
        let Stage::Ending(ending) = &mut session.stage else { return false };
        if ending.step != EndingStep::Before {
            return false;
        }
        ending.attempts += 1;
        let repeat = ending.attempts > 1;
        let body = Bytes::from(ending.reason.clone());
        let call = self.calls.add(id, CallKind::Disconnect { repeat }, body, self.now);
        ending.step = EndingStep::Calling(call);
        self.counters.disconnects_repeated += u64::from(repeat);
        true
    }

    /// The API has answered the DELETE, or has not.
    pub(super) fn disconnect_answered(&mut self, id: SessionId, repeat: bool, outcome: &Outcome) {
        let taken = outcome.as_ref().is_ok_and(|response| !response.status().is_server_error())
            && (repeat || !self.canary(Canary::DeleteTwice));
        if repeat {
            self.retries.ended(taken);
        }
        if taken {
            self.finish_session(id);
        } else {
            self.pause_disconnect(id);
        }
        self.start_repeats();
    }

    fn pause_disconnect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Stage::Ending(ending) = &mut session.stage else { return };
        let attempts = ending.attempts;
        ending.step = EndingStep::Pausing;
        let first = ending.failing_since == Timestamp::NEVER;
        ending.failing_since = ending.failing_since.min(self.now);
        let end = ending.failing_since + self.config.disconnect_retry;
        let longest = if self.drain.is_some() { PAUSE_IN_DRAIN } else { Duration::MAX };
        let due = self.now + self.retries.pause(attempts).min(longest);
        let drained = self.repeats_end().is_some_and(|last| due > last);
        if drained || due > end {
            return self.lose_disconnect(id);
        }
        self.retries.push(due, id);
        if first {
            self.retries.limit(end, id);
        }
    }

    /// Gives up those that have waited for their turn too long. What is under way may still be taken.
    pub(super) fn end_repeats(&mut self) {
        while let Some(id) = self.retries.over(self.now, |id| self.sessions.get(id).is_some()) {
            let stage = self.sessions.get(id).map(|session| &session.stage);
            if matches!(stage, Some(Stage::Ending(ending)) if ending.step == EndingStep::Pausing) {
                self.lose_disconnect(id);
            }
        }
        self.retries.sweep(self.sessions.len(), |id| self.sessions.get(id).is_some());
    }

    /// Sends the repeats whose time has come, as many as the window lets through.
    pub(super) fn start_repeats(&mut self) {
        while let Some(id) = self.retries.next() {
            if let Some(session) = self.sessions.get_mut(id)
                && let Stage::Ending(ending) = &mut session.stage
            {
                ending.step = EndingStep::Before;
            }
            if !self.start_disconnect(id) {
                self.retries.cancelled();
            }
        }
    }

    /// Gives a DELETE up: counted and told.
    pub(super) fn lose_disconnect(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let Stage::Ending(ending) = &session.stage else { return };
        let report = Report::DisconnectLost {
            client: session.client.encoded().to_string(),
            connection: self.connection_id(session.serial).to_string(),
            attempts: ending.attempts,
        };
        self.counters.disconnects_lost += 1;
        self.report(report);
        self.finish_session(id);
    }

    /// The DELETE is answered or given up: the client may go, the next connect may come.
    fn finish_session(&mut self, id: SessionId) {
        self.counters.disconnects_pending -= 1;
        let Some(session) = self.sessions.get(id) else { return };
        let conn = session.socket;
        self.remove_session(id);
        if let Some(conn) = conn {
            self.answer_close(conn);
        }
    }

    /// Answers the client's close frame.
    pub(super) fn answer_close(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get(conn) else { return };
        if let Wire::CloseReceived(code) = socket.wire {
            self.send_last_close(conn, code, "");
        }
    }

    /// Takes a session out of its chain and moves the next one up.
    pub(super) fn remove_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let (client, next) = (session.client.clone(), session.next);
        let first = self.router.first(&self.sessions, &client);
        let was_first = first == Some(id);
        match next {
            Some(next) if was_first => self.router.set_first(&self.sessions, &client, next),
            None if was_first => self.router.remove(&self.sessions, &client),
            _ => {
                let before = first.and_then(|first| {
                    self.chain(first)
                        .find(|other| self.sessions.get(*other).is_some_and(|other| other.next == Some(id)))
                });
                if let Some(before) = before.and_then(|before| self.sessions.get_mut(before)) {
                    before.next = next;
                }
            }
        }
        if let Some(mut session) = self.sessions.remove(id) {
            self.messages.clear(&mut session.waiting);
            self.waiting_messages -= session.waiting_count as usize;
            if let Some(socket) = session.socket.and_then(|conn| self.sockets.get_mut(conn)) {
                socket.session = None;
            }
        }
        if !self.canary(Canary::SeatLeaked) {
            self.shared.clients.fetch_sub(1, Ordering::Relaxed);
        }
        self.lift_limits(&client);
        if let Some(next) = next
            && was_first
        {
            self.settle(next);
        }
    }

    /// Takes out a connect that nobody was asked about any more; those behind it have their turn.
    pub(super) fn withdraw(&mut self, id: SessionId) {
        let first = self.first_before(id);
        self.remove_session(id);
        self.settle_first(first);
    }

    /// A connect has waited too long for the session before it.
    pub(super) fn wait_over(&mut self, id: SessionId) {
        match self.sessions.get(id).map(|session| &session.stage) {
            Some(Stage::Waiting) => self.deny_session(id, Denial::waited()),
            Some(Stage::Authorised(_)) => self.deny_authorised(id, Denial::waited(), "handshake timeout"),
            Some(Stage::Authorising { .. } | Stage::Open | Stage::Ending(_)) | None => {}
        }
    }
}
