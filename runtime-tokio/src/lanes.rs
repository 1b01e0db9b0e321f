//! Which lane serves which call, and which lanes are idle.
//!
//! A lane is one kept-alive connection to the API (`lane.rs`).

use std::task::{Context, Waker};

use tokio::task::AbortHandle;
use ws2http_core::{CallId, Timestamp};
use ws2http_driver::Ready;

use ws2http_api::Link;

/// Names a lane of its worker. Used again only after its connection is closed.
pub(crate) type LaneId = u32;

struct Lane<S> {
    state: State<S>,
    /// Has the lane looked at.
    waker: Waker,
    /// The call under way.
    call: Option<CallId>,
}

enum State<S> {
    /// The place is free.
    Vacant,
    /// A task opens the connection; `None` before it has begun.
    Opening(Option<AbortHandle>),
    Open(Link<S>),
}

/// The lanes of one worker.
pub(crate) struct Lanes<S> {
    lanes: Vec<Lane<S>>,
    free: Vec<LaneId>,
    /// The last one in is the first one out, so that superfluous ones stay idle and are closed.
    idle: Vec<(LaneId, Timestamp)>,
    max_idle: usize,
    /// The lane of each call, by the call's slot.
    calls: Vec<Option<(CallId, LaneId)>>,
    /// When to look for idle lanes to close; perhaps too early, never too late.
    sweep: Option<Timestamp>,
    pub(crate) ready: Ready<LaneId>,
    /// The task that looks at them, once there has been a lane.
    pub(crate) task: Option<AbortHandle>,
}

impl<S> Lanes<S> {
    pub(crate) fn new(max_idle: usize) -> Self {
        Lanes {
            lanes: Vec::new(),
            free: Vec::new(),
            idle: Vec::new(),
            max_idle,
            calls: Vec::new(),
            sweep: None,
            ready: Ready::default(),
            task: None,
        }
    }

    /// Takes the idle lane that was used last, unless its time is up: the timer that closes it may be late.
    pub(crate) fn take_idle(&mut self, now: Timestamp) -> Option<LaneId> {
        while let Some((id, until)) = self.idle.pop() {
            if now < until {
                return Some(id);
            }
            self.close(id);
        }
        None
    }

    /// A place for a new lane, whose first call is this one.
    pub(crate) fn open(&mut self, call: CallId) -> LaneId {
        let id = self.free.pop().unwrap_or_else(|| {
            // Each lane is a descriptor; the system has fewer than this can count.
            let id = LaneId::try_from(self.lanes.len()).expect("fewer lanes than descriptors");
            let waker = self.ready.waker(id);
            self.lanes.push(Lane { state: State::Vacant, waker, call: None });
            id
        });
        self.lanes[id as usize].state = State::Opening(None);
        self.begin(id, call);
        id
    }

    /// Names the task that opens a lane.
    pub(crate) fn started(&mut self, id: LaneId, task: AbortHandle) {
        self.lanes[id as usize].state = State::Opening(Some(task));
    }

    /// The lane's connection is open.
    pub(crate) fn connected(&mut self, id: LaneId, link: Link<S>) {
        self.lanes[id as usize].state = State::Open(link);
    }

    /// The lane's connection, and what has it looked at.
    pub(crate) fn link(&mut self, id: LaneId) -> Option<(&mut Link<S>, Context<'_>)> {
        let lane = &mut self.lanes[id as usize];
        match &mut lane.state {
            State::Open(link) => Some((link, Context::from_waker(&lane.waker))),
            State::Vacant | State::Opening(_) => None,
        }
    }

    /// Notes that a lane serves a call.
    pub(crate) fn begin(&mut self, id: LaneId, call: CallId) {
        let slot = call.slot as usize;
        if slot >= self.calls.len() {
            self.calls.resize(slot + 1, None);
        }
        self.calls[slot] = Some((call, id));
        self.lanes[id as usize].call = Some(call);
    }

    /// The lane's call has its answer, or will have none: which it was.
    pub(crate) fn finish(&mut self, id: LaneId) -> Option<CallId> {
        let call = self.lanes[id as usize].call.take()?;
        self.calls[call.slot as usize].take_if(|(noted, _)| *noted == call);
        Some(call)
    }

    /// Gives a call up and closes its connection.
    pub(crate) fn cancel(&mut self, call: CallId) {
        let noted = self.calls.get_mut(call.slot as usize).and_then(|entry| entry.take_if(|(noted, _)| *noted == call));
        if let Some((_, lane)) = noted {
            self.close(lane);
        }
    }

    /// Puts a lane by for the next call; false if it should end instead.
    pub(crate) fn put_by(&mut self, id: LaneId, until: Timestamp) -> bool {
        if self.idle.len() >= self.max_idle {
            return false;
        }
        self.idle.push((id, until));
        self.sweep = Some(self.sweep.map_or(until, |sweep| sweep.min(until)));
        true
    }

    /// An idle lane's connection has ended.
    pub(crate) fn lost(&mut self, id: LaneId) {
        self.idle.retain(|(idle, _)| *idle != id);
        self.close(id);
    }

    /// When [`Lanes::close_expired`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.sweep
    }

    /// Closes the connections that have been idle for too long.
    pub(crate) fn close_expired(&mut self, now: Timestamp) {
        if self.sweep.is_none_or(|sweep| now < sweep) {
            return;
        }
        let expired: Vec<_> = self.idle.extract_if(.., |(_, until)| *until <= now).collect();
        for (id, _) in expired {
            self.close(id);
        }
        self.sweep = self.idle.iter().map(|(_, until)| *until).min();
    }

    /// Closes a lane's connection, or does not open it.
    pub(crate) fn close(&mut self, id: LaneId) {
        match std::mem::replace(&mut self.lanes[id as usize].state, State::Vacant) {
            State::Vacant => return,
            State::Opening(task) => task.iter().for_each(AbortHandle::abort),
            State::Open(_) => {}
        }
        self.free.push(id);
    }

    /// Closes all connections.
    pub(crate) fn clear(&mut self) {
        let ids = 0..self.lanes.len();
        ids.filter_map(|id| LaneId::try_from(id).ok()).for_each(|id| self.close(id));
        self.task.iter().for_each(AbortHandle::abort);
        self.idle.clear();
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lane_past_its_time_takes_no_call() {
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let call = CallId { slot: 0, generation: 0 };
        let mut lanes = Lanes::<()>::new(10);
        let lane = lanes.open(call);
        assert_eq!(lanes.finish(lane), Some(call));
        assert!(lanes.put_by(lane, at(5)));
        assert_eq!(lanes.take_idle(at(4)), Some(lane));
        assert!(lanes.put_by(lane, at(5)));
        // The timer has not gone off yet.
        assert_eq!(lanes.take_idle(at(5)), None);
        assert_eq!(lanes.open(call), lane, "its place is free");
    }
}
