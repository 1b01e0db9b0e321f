//! Repeats of DELETEs that the API did not take (contract, section 6).
//!
//! Each session waits with exponential back-off and jitter. Over all of them a window bounds the
//! repeats under way: one while they fail, twice as many after each success, so that an API that
//! comes back meets one request first, not all that have piled up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::Timestamp;
use crate::session::SessionId;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const WIDEST_WINDOW: usize = 256;

/// The repeats of a shard.
#[derive(Debug)]
pub(crate) struct Retries {
    pausing: BinaryHeap<Reverse<(Timestamp, SessionId)>>,
    ready: VecDeque<SessionId>,
    /// Until when each is repeated, in order, as all have equally long; those of ended sessions are swept out.
    ends: VecDeque<(Timestamp, SessionId)>,
    in_flight: usize,
    window: usize,
    rng: fastrand::Rng,
}

impl Retries {
    pub(crate) fn new(seed: u64) -> Self {
        Retries {
            pausing: BinaryHeap::new(),
            ready: VecDeque::new(),
            ends: VecDeque::new(),
            in_flight: 0,
            window: 1,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// How long to wait after so many attempts: doubling, less up to a half by chance.
    pub(crate) fn pause(&mut self, attempts: u32) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        let full = doubled.min(LONGEST_PAUSE);
        full.mul_f64(1.0 - self.rng.f64() / 2.0)
    }

    pub(crate) fn push(&mut self, at: Timestamp, session: SessionId) {
        self.pausing.push(Reverse((at, session)));
    }

    /// Remembers until when a session is repeated. Each call names a time no earlier than the one before.
    pub(crate) fn limit(&mut self, end: Timestamp, session: SessionId) {
        self.ends.push_back((end, session));
    }

    /// When the time of the next one is over.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// A session whose time is over, or that is gone.
    pub(crate) fn over(&mut self, now: Timestamp, is_there: impl Fn(SessionId) -> bool) -> Option<SessionId> {
        self.ends.pop_front_if(|(end, session)| *end <= now || !is_there(*session)).map(|(_, session)| session)
    }

    /// Drops the entries of sessions that are gone when they are most of a queue: one that hangs at the front
    /// must not keep them.
    pub(crate) fn sweep(&mut self, sessions: usize, is_there: impl Fn(SessionId) -> bool) {
        let most = 2 * sessions + 1024;
        if self.ready.len() > most {
            self.ready.retain(|session| is_there(*session));
        }
        if self.ends.len() > most {
            self.ends.retain(|(_, session)| is_there(*session));
        }
    }

    /// Whether a session waits for its repeat.
    pub(crate) fn has_waiting(&self) -> bool {
        !(self.pausing.is_empty() && self.ready.is_empty())
    }

    /// When the next pause ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.pausing.peek().map(|Reverse((at, _))| *at)
    }

    /// Lines up those whose pause has ended.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        while self.next_due().is_some_and(|at| at <= now) {
            self.ready.extend(self.pausing.pop().map(|Reverse((_, session))| session));
        }
    }

    /// Lines up all, whether their pause has ended or not.
    pub(crate) fn hurry(&mut self) {
        self.ready = self.take_all().into();
    }

    /// A session whose repeat may go out now, counted as under way.
    pub(crate) fn next(&mut self) -> Option<SessionId> {
        if self.in_flight >= self.window {
            return None;
        }
        let session = self.ready.pop_front()?;
        self.in_flight += 1;
        Some(session)
    }

    /// A repeat has ended.
    pub(crate) fn ended(&mut self, taken: bool) {
        self.in_flight -= 1;
        self.window = if taken { (2 * self.window).min(WIDEST_WINDOW) } else { 1 };
    }

    /// What [`Retries::next`] gave had nothing to repeat.
    pub(crate) fn cancelled(&mut self) {
        self.in_flight -= 1;
    }

    /// Takes out all that wait, those first that have waited longest.
    pub(crate) fn take_all(&mut self) -> Vec<SessionId> {
        let mut all: Vec<SessionId> = self.ready.drain(..).collect();
        let mut pausing: Vec<_> = self.pausing.drain().map(|Reverse(entry)| entry).collect();
        pausing.sort_unstable();
        all.extend(pausing.into_iter().map(|(_, session)| session));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Key;

    fn session(slot: u32) -> SessionId {
        SessionId(Key { slot, generation: 0 })
    }

    #[test]
    fn pauses_double_with_jitter_up_to_a_limit() {
        let mut retries = Retries::new(7);
        for attempts in 1..40 {
            let full = Duration::from_millis(500 << (attempts - 1).min(10)).min(LONGEST_PAUSE);
            let pause = retries.pause(attempts);
            assert!(pause <= full && pause >= full / 2, "{attempts}: {pause:?}");
        }
    }

    #[test]
    fn one_that_hangs_does_not_keep_the_entries_of_those_that_are_gone() {
        let mut retries = Retries::new(7);
        for slot in 0..10_000 {
            retries.push(Timestamp::ZERO, session(slot));
            retries.limit(Timestamp::from_micros(1), session(slot));
        }
        retries.wake(Timestamp::ZERO);
        let is_there = |other| [session(0), session(5000)].contains(&other);
        retries.sweep(10_000, is_there);
        assert_eq!((retries.ready.len(), retries.ends.len()), (10_000, 10_000));
        retries.sweep(2, is_there);
        assert_eq!(retries.ready, [session(0), session(5000)]);
        assert_eq!(retries.over(Timestamp::ZERO, is_there), None);
        let over = std::iter::from_fn(|| retries.over(Timestamp::from_micros(1), is_there));
        assert_eq!(over.collect::<Vec<_>>(), [session(0), session(5000)]);
    }

    #[test]
    fn the_first_that_is_still_there_says_when_a_time_is_over() {
        let mut retries = Retries::new(7);
        for slot in 0..3 {
            retries.limit(Timestamp::from_micros(slot.into()), session(slot));
        }
        let is_there = |other| other == session(2);
        while retries.over(Timestamp::ZERO, is_there).is_some() {}
        assert_eq!(retries.next_end(), Some(Timestamp::from_micros(2)));
    }

    #[test]
    fn an_api_coming_back_meets_one_repeat_then_two_then_four() {
        let mut retries = Retries::new(7);
        for slot in 0..100 {
            retries.push(Timestamp::ZERO, session(slot));
        }
        retries.wake(Timestamp::ZERO);
        for wave in [1, 2, 4, 8] {
            let sent = std::iter::from_fn(|| retries.next()).count();
            assert_eq!(sent, wave);
            (0..sent).for_each(|_| retries.ended(true));
            // Each success doubles the window: take it back to once per wave.
            retries.window = 2 * wave;
        }
        assert!(retries.next().is_some());
        retries.ended(false);
        assert_eq!(std::iter::from_fn(|| retries.next()).count(), 1);
    }
}
