//! Calls to the API: which are under way, which wait, when they time out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::event::CallError;
use crate::metrics::CallMethod;
use crate::session::SessionId;
use crate::slab::Slab;
use crate::{CallId, Timestamp};

/// A call is sent again so often if the API provably never saw it.
pub(crate) const REPEATS_UNSENT: u8 = 3;

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) session: SessionId,
    pub(crate) kind: CallKind,
    /// A message's payload, kept until the answer in case the call never left.
    pub(crate) body: Bytes,
    pub(crate) started: Timestamp,
    pub(crate) in_flight: bool,
    /// How often it was given back unsent.
    pub(crate) unsent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Connect,
    Message { text: bool },
    Disconnect { repeat: bool },
}

impl CallKind {
    pub(crate) fn method(self) -> CallMethod {
        match self {
            CallKind::Connect => CallMethod::Get,
            CallKind::Message { .. } => CallMethod::Post,
            CallKind::Disconnect { .. } => CallMethod::Delete,
        }
    }

    pub(crate) fn http_method(self) -> http::Method {
        match self {
            CallKind::Connect => http::Method::GET,
            CallKind::Message { .. } => http::Method::POST,
            CallKind::Disconnect { .. } => http::Method::DELETE,
        }
    }
}

/// Why a call brought nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error("no answer within --api-timeout")]
    Timeout,
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("given up at the end of the drain")]
    Drained,
}

/// What a call that has ended brought.
pub(crate) type Outcome = Result<http::Response<Bytes>, CallFailure>;

/// All calls of a shard.
#[derive(Debug)]
pub(crate) struct Calls {
    slab: Slab<Call>,
    /// Calls for which no connection to the API is free, in order.
    queue: VecDeque<CallId>,
    /// Deadlines in order, as all are equally long; those of ended calls are swept out.
    deadlines: VecDeque<(Timestamp, CallId)>,
    in_flight: usize,
    /// The most calls that may be under way at once.
    cap: usize,
    timeout: Duration,
}

impl Calls {
    pub(crate) fn new(cap: usize, timeout: Duration) -> Self {
        let slab = Slab::new();
        Calls { slab, queue: VecDeque::new(), deadlines: VecDeque::new(), in_flight: 0, cap, timeout }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn queued(&self) -> usize {
        self.slab.len() - self.in_flight
    }

    pub(crate) fn get(&self, id: CallId) -> Option<&Call> {
        self.slab.get(id)
    }

    /// Puts a call at the end of the line. A connect's time runs from here: its client waits.
    pub(crate) fn add(&mut self, session: SessionId, kind: CallKind, body: Bytes, now: Timestamp) -> CallId {
        let call = Call { session, kind, body, started: now, in_flight: false, unsent: 0 };
        let id = self.slab.insert(call).into();
        self.queue.push_back(id);
        if kind == CallKind::Connect {
            self.watch(now, id);
        }
        id
    }

    /// The next call that may go out now, marked as under way.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<CallId> {
        while self.in_flight < self.cap {
            let id = self.queue.pop_front()?;
            let Some(call) = self.slab.get_mut(id) else { continue };
            call.in_flight = true;
            self.in_flight += 1;
            if call.unsent == 0 {
                call.started = now;
                if call.kind != CallKind::Connect {
                    self.watch(now, id);
                }
            }
            return Some(id);
        }
        None
    }

    /// The API never saw it: back to the head of the line, unless that has happened too often.
    pub(crate) fn again(&mut self, id: CallId) -> bool {
        let Some(call) = self.slab.get_mut(id) else { return false };
        if call.unsent >= REPEATS_UNSENT {
            return false;
        }
        call.unsent += 1;
        call.in_flight = false;
        self.in_flight -= 1;
        self.queue.push_front(id);
        true
    }

    pub(crate) fn remove(&mut self, id: CallId) -> Option<Call> {
        let call = self.slab.remove(id)?;
        self.in_flight -= usize::from(call.in_flight);
        Some(call)
    }

    /// The deadline of the longest-running call.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// A call whose time is up.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<CallId> {
        while let Some((deadline, id)) = self.deadlines.front().copied() {
            if self.slab.get(id).is_some() {
                return (deadline <= now).then_some(id);
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// The call that has a slot now.
    pub(crate) fn tenant(&self, slot: u32) -> Option<CallId> {
        self.slab.at(slot).map(|(key, _)| key.into())
    }

    /// Any call at all, for giving up at the end of a drain.
    pub(crate) fn any(&self) -> Option<CallId> {
        (0..self.slab.slots()).find_map(|slot| self.slab.at(slot)).map(|(key, _)| key.into())
    }

    fn watch(&mut self, now: Timestamp, id: CallId) {
        while self.deadlines.front().is_some_and(|(_, id)| self.slab.get(*id).is_none()) {
            self.deadlines.pop_front();
        }
        if self.deadlines.len() > 2 * self.slab.len() + 64 {
            // One slow call at the front must not keep the entries of all that ended behind it.
            self.deadlines.retain(|(_, id)| self.slab.get(*id).is_some());
        }
        self.deadlines.push_back((now + self.timeout, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Key;

    const SESSION: SessionId = SessionId(Key { slot: 0, generation: 0 });

    fn calls(cap: usize) -> Calls {
        Calls::new(cap, Duration::from_secs(60))
    }

    fn message(calls: &mut Calls, now: Timestamp) -> CallId {
        calls.add(SESSION, CallKind::Message { text: true }, Bytes::new(), now)
    }

    #[test]
    fn calls_over_the_cap_wait_in_order() {
        let mut calls = calls(1);
        let now = Timestamp::ZERO;
        let (first, second) = (message(&mut calls, now), message(&mut calls, now));
        assert_eq!(calls.next(now), Some(first));
        assert_eq!(calls.next(now), None);
        assert_eq!((calls.in_flight(), calls.queued()), (1, 1));
        calls.remove(first);
        assert_eq!(calls.next(now), Some(second));
    }

    #[test]
    fn one_slow_call_does_not_keep_the_deadlines_of_ended_ones() {
        let mut calls = calls(10_000);
        let now = Timestamp::ZERO;
        let slow = message(&mut calls, now);
        assert_eq!(calls.next(now), Some(slow));
        for _ in 0..10_000 {
            let id = message(&mut calls, now);
            assert_eq!(calls.next(now), Some(id));
            calls.remove(id);
        }
        assert!(calls.deadlines.len() < 200, "{}", calls.deadlines.len());
        assert_eq!(calls.expired(now + Duration::from_secs(60)), Some(slow));
    }

    #[test]
    fn an_unsent_call_goes_out_again_first_and_not_for_ever() {
        let mut calls = calls(1);
        let now = Timestamp::ZERO;
        let (first, _) = (message(&mut calls, now), message(&mut calls, now));
        for _ in 0..REPEATS_UNSENT {
            assert_eq!(calls.next(now), Some(first));
            assert!(calls.again(first));
        }
        assert_eq!(calls.next(now), Some(first));
        assert!(!calls.again(first));
    }
}
