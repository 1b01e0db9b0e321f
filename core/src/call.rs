//! Calls to the API: which are under way, which wait, when they time out.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::event::CallError;
use crate::metrics::CallMethod;
use crate::session::SessionId;
use crate::slab::Slab;
use crate::{CallId, Config, Timestamp};

/// A call is sent again so often if the API provably never saw it.
pub(crate) const REPEATS_UNSENT: u8 = 3;

/// How long a call waits for one of [`Config::prompt_calls`] to end before it goes out beside them.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) session: SessionId,
    pub(crate) kind: CallKind,
    /// A message's payload, kept until the answer in case the call never left.
    pub(crate) body: Bytes,
    /// When it went out; before that, when it came up.
    pub(crate) started: Timestamp,
    /// When its time is up; that of a connect runs before it goes out.
    deadline: Timestamp,
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
    /// So many go out at once: the configured number, and one more for each that waited in vain.
    prompt: usize,
    least_prompt: usize,
    timeout: Duration,
}

impl Calls {
    pub(crate) fn new(config: &Config, cap: usize) -> Self {
        // Streams cost next to nothing.
        let prompt = if config.api_http2 { cap } else { config.prompt_calls };
        Calls {
            slab: Slab::new(),
            queue: VecDeque::new(),
            deadlines: VecDeque::new(),
            in_flight: 0,
            cap,
            prompt,
            least_prompt: prompt,
            timeout: config.api_timeout,
        }
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
        let deadline = Timestamp::NEVER;
        let call = Call { session, kind, body, started: now, deadline, in_flight: false, unsent: 0 };
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
            let id = *self.queue.front()?;
            let Some(call) = self.slab.get_mut(id) else {
                self.queue.pop_front();
                continue;
            };
            if self.in_flight >= self.prompt {
                if now < call.started + PATIENCE {
                    return None;
                }
                self.prompt = self.in_flight + 1;
            }
            self.queue.pop_front();
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

    /// When the first in line has waited long enough for one of the [`Config::prompt_calls`] to end.
    pub(crate) fn next_impatient(&self) -> Option<Timestamp> {
        if self.in_flight >= self.cap {
            return None;
        }
        let first = self.queue.iter().find_map(|id| self.slab.get(*id))?;
        Some(first.started + PATIENCE)
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
        if self.in_flight < self.prompt / 2 && self.prompt > self.least_prompt {
            self.prompt -= 1;
        }
        Some(call)
    }

    /// The deadline of the longest-running call.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// When the time of a call under way is up.
    pub(crate) fn deadline(&self, id: CallId) -> Option<Timestamp> {
        self.slab.get(id).filter(|call| call.in_flight).map(|call| call.deadline)
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

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    fn watch(&mut self, now: Timestamp, id: CallId) {
        while self.deadlines.front().is_some_and(|(_, id)| self.slab.get(*id).is_none()) {
            self.deadlines.pop_front();
        }
        if self.deadlines.len() > 2 * self.slab.len() + 64 {
            // One slow call at the front must not keep the entries of all that ended behind it.
            self.deadlines.retain(|(_, id)| self.slab.get(*id).is_some());
        }
        let deadline = now + self.timeout;
        self.deadlines.push_back((deadline, id));
        if let Some(call) = self.slab.get_mut(id) {
            call.deadline = deadline;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Key;

    const SESSION: SessionId = SessionId(Key { slot: 0, generation: 0 });

    fn calls(cap: usize) -> Calls {
        Calls::new(&config(), cap)
    }

    fn config() -> Config {
        Config::new(crate::ApiAddress::parse("http://api/").unwrap())
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
    fn a_call_waits_for_the_end_of_another_but_not_for_long() {
        let mut calls = Calls::new(&Config { prompt_calls: 2, ..config() }, 4);
        let now = Timestamp::ZERO;
        let ids: Vec<CallId> = (0..6).map(|_| message(&mut calls, now)).collect();
        assert_eq!([calls.next(now), calls.next(now), calls.next(now)], [Some(ids[0]), Some(ids[1]), None]);
        assert_eq!(calls.next_impatient(), Some(now + PATIENCE));
        calls.remove(ids[0]);
        assert_eq!([calls.next(now), calls.next(now)], [Some(ids[2]), None]);
        let later = now + PATIENCE;
        assert_eq!([calls.next(later), calls.next(later), calls.next(later)], [Some(ids[3]), Some(ids[4]), None]);
        // Nothing goes out over the cap.
        assert_eq!(calls.next_impatient(), None);
    }

    #[test]
    fn who_waited_in_vain_makes_room_for_others_until_it_is_not_needed() {
        let mut calls = Calls::new(&Config { prompt_calls: 1, ..config() }, 100);
        let now = Timestamp::ZERO;
        let first: Vec<CallId> = (0..8).map(|_| message(&mut calls, now)).collect();
        let later = now + PATIENCE;
        assert!(first.iter().all(|id| calls.next(later) == Some(*id)));
        calls.remove(first[0]);
        let another = message(&mut calls, later);
        assert_eq!(calls.next(later), Some(another));
        first[1..].iter().chain([&another]).for_each(|id| drop(calls.remove(*id)));
        // Of the eight that were under way at once, the last four to end took back one each.
        let again: Vec<CallId> = (0..8).map(|_| message(&mut calls, later)).collect();
        assert!(again[..4].iter().all(|id| calls.next(later) == Some(*id)));
        assert_eq!(calls.next(later), None);
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
    fn the_time_of_a_connect_runs_while_it_waits_for_its_turn() {
        let mut calls = calls(1);
        let (now, later) = (Timestamp::ZERO, Timestamp::ZERO + Duration::from_secs(30));
        let busy = message(&mut calls, now);
        assert_eq!(calls.next(now), Some(busy));
        let connect = calls.add(SESSION, CallKind::Connect, Bytes::new(), now);
        let waits = message(&mut calls, now);
        calls.remove(busy);
        assert_eq!(calls.next(later), Some(connect));
        assert_eq!(calls.deadline(connect), Some(now + Duration::from_secs(60)));
        calls.remove(connect);
        assert_eq!(calls.next(later), Some(waits));
        assert_eq!(calls.deadline(waits), Some(later + Duration::from_secs(60)));
        // Sent again, it has the time that it had.
        assert!(calls.again(waits));
        assert_eq!(calls.next(later + Duration::from_secs(1)), Some(waits));
        assert_eq!(calls.deadline(waits), Some(later + Duration::from_secs(60)));
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
