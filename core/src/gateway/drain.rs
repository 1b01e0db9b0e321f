//! The orderly end of the process (contract, section 8).

use std::time::Duration;

use super::Gateway;
use super::canary::Canary;
use super::connect::Denial;
use super::outbound::LINGER;
use crate::call::CallFailure;
use crate::event::{Action, Report};
use crate::session::{SessionId, Stage};
use crate::{Config, Timestamp};

/// How far the drain is.
#[derive(Debug)]
pub(super) struct Drain {
    started: Timestamp,
    /// Clients that were open at the start, and how many of them have been sent away since.
    total: u64,
    closed: u64,
    /// Sessions up to this slot have been sent away.
    cursor: u32,
    /// When the last session had ended.
    nobody_since: Option<Timestamp>,
    done: bool,
}

impl Drain {
    /// After this no socket is waited for: those of the last sessions need no longer, and clients that are
    /// refused come without end.
    fn sockets_end(&self, config: &Config) -> Option<Timestamp> {
        self.nobody_since.map(|since| since + config.close_timeout + LINGER)
    }
}

impl Gateway {
    pub(super) fn start_drain(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let total = self.counters.active_connections;
        self.drain = Some(Drain { started: self.now, total, closed: 0, cursor: 0, nobody_since: None, done: false });
        if !self.canary(Canary::DrainForgetsWaiting) {
            self.refuse_waiting();
        }
        // What has been waited for is not waited for any longer.
        self.retries.hurry();
        self.start_repeats();
        self.continue_drain();
    }

    /// Connects that the API has not been asked about will not be.
    fn refuse_waiting(&mut self) {
        for slot in 0..self.sessions.slots() {
            let waiting = self.sessions.at(slot).filter(|(_, session)| matches!(session.stage, Stage::Waiting));
            if let Some(id) = waiting.map(|(key, _)| SessionId(key)) {
                self.deny_session(id, Denial::draining());
            }
        }
    }

    /// After this no DELETE is repeated.
    pub(super) fn repeats_end(&self) -> Option<Timestamp> {
        self.drain.as_ref().map(|drain| drain.started + self.config.drain + self.config.close_timeout)
    }

    /// After this nothing is waited for.
    fn drain_end(&self) -> Option<Timestamp> {
        self.repeats_end().map(|end| end + self.config.api_timeout)
    }

    /// When the drain has something to do.
    pub(super) fn drain_due(&self) -> Option<Timestamp> {
        let drain = self.drain.as_ref().filter(|drain| !drain.done)?;
        // What comes up late is due until it is done.
        let repeats = self.repeats_end().filter(|_| self.retries.has_waiting());
        let calls = self.drain_end().filter(|_| !self.calls.is_empty());
        let sockets = drain.sockets_end(&self.config);
        [self.next_goodbye(drain), repeats, calls, sockets].into_iter().flatten().min()
    }

    /// When the next open client is sent away.
    fn next_goodbye(&self, drain: &Drain) -> Option<Timestamp> {
        if drain.closed >= drain.total {
            return None;
        }
        // Rounded up: when it comes, `goal` has moved on.
        let micros = (u128::from(drain.closed) + 1) * self.config.drain.as_micros();
        let micros = u64::try_from(micros.div_ceil(u128::from(drain.total))).unwrap_or(u64::MAX);
        Some(drain.started + Duration::from_micros(micros))
    }

    pub(super) fn continue_drain(&mut self) {
        let Some(drain) = &self.drain else { return };
        let (passed, whole) = (self.now.since(drain.started), self.config.drain);
        let goal = if passed >= whole {
            drain.total
        } else {
            (u128::from(drain.total) * passed.as_micros() / whole.as_micros()) as u64
        };
        while self.drain.as_ref().is_some_and(|drain| drain.closed < goal) {
            self.send_away();
        }
        if self.repeats_end().is_some_and(|end| end <= self.now) {
            self.retries.take_all().into_iter().for_each(|id| self.lose_disconnect(id));
        }
        if self.drain_end().is_some_and(|end| end <= self.now) {
            self.give_up();
        }
    }

    /// Closes the next open client.
    fn send_away(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        drain.closed += 1;
        while drain.cursor < self.sessions.slots() {
            let tenant = self.sessions.at(drain.cursor);
            drain.cursor += 1;
            if let Some((key, session)) = tenant
                && matches!(session.stage, Stage::Open)
            {
                return self.close_session(SessionId(key), 1001, "shutting down");
            }
        }
        // The others have left by themselves.
        drain.closed = drain.total;
    }

    fn give_up(&mut self) {
        let before = self.counters.messages_lost;
        let mut slot = 0;
        while !self.calls.is_empty() {
            match self.calls.tenant(slot) {
                // After it comes the next one that waits, up to the DELETE.
                Some(call) => self.give_up_call(call, CallFailure::Drained),
                None => slot = if slot < self.calls.slots() { slot + 1 } else { 0 },
            }
        }
        let messages = self.counters.messages_lost - before;
        if messages > 0 {
            self.report(Report::MessagesLost { messages });
        }
    }

    /// Tells the driver when nothing is left.
    pub(super) fn end_drain(&mut self) {
        let Some(drain) = self.drain.as_mut().filter(|drain| !drain.done) else { return };
        if !self.sessions.is_empty() || !self.calls.is_empty() {
            return;
        }
        // It stays so, as all connects are refused.
        drain.nobody_since.get_or_insert(self.now);
        let late = drain.sockets_end(&self.config).is_some_and(|end| end <= self.now);
        if late || self.sockets.len() == self.http_sockets {
            drain.done = true;
            self.act(Action::Drained);
        }
    }
}
