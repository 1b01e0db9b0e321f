//! Which lane serves which call, and which lanes are idle.
//!
//! A lane is one kept-alive connection to the API with a task of its own (`lane.rs`).

use std::task::Waker;

use tokio::task::AbortHandle;
use ws2http_core::{CallId, Timestamp};

use ws2http_api::Link;

/// Names a lane of its worker. Used again only after its task has ended or will not run again.
pub(crate) type LaneId = u32;

struct Lane<S> {
    /// Ends the task. `None` in a free place.
    task: Option<AbortHandle>,
    /// Wakes the task.
    waker: Waker,
    /// The connection; `None` while it is being opened.
    link: Option<Link<S>>,
    /// The call under way.
    call: Option<CallId>,
    /// A call has been answered by it.
    used: bool,
}

impl<S> Lane<S> {
    fn vacant() -> Self {
        Lane { task: None, waker: Waker::noop().clone(), link: None, call: None, used: false }
    }
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
}

impl<S> Lanes<S> {
    pub(crate) fn new(max_idle: usize) -> Self {
        Lanes { lanes: Vec::new(), free: Vec::new(), idle: Vec::new(), max_idle, calls: Vec::new(), sweep: None }
    }

    /// Takes the idle lane that was used last.
    pub(crate) fn take_idle(&mut self) -> Option<LaneId> {
        self.idle.pop().map(|(id, _)| id)
    }

    /// A place for a new lane, whose first call is this one.
    pub(crate) fn open(&mut self, call: CallId) -> LaneId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(Lane::vacant());
            // Each lane is a descriptor; the system has fewer than this can count.
            LaneId::try_from(self.lanes.len() - 1).expect("fewer lanes than descriptors")
        });
        self.begin(id, call);
        id
    }

    /// Names the task of a new lane.
    pub(crate) fn started(&mut self, id: LaneId, task: AbortHandle) {
        self.lanes[id as usize].task = Some(task);
    }

    /// The lane's connection is open.
    pub(crate) fn connected(&mut self, id: LaneId, link: Link<S>) {
        self.lanes[id as usize].link = Some(link);
    }

    /// The lane's connection, and what wakes its task.
    pub(crate) fn link(&mut self, id: LaneId) -> Option<(&mut Link<S>, &Waker)> {
        let lane = &mut self.lanes[id as usize];
        lane.link.as_mut().map(|link| (link, &lane.waker))
    }

    /// Remembers how to wake the lane's task.
    pub(crate) fn wake_by(&mut self, id: LaneId, waker: &Waker) {
        self.lanes[id as usize].waker.clone_from(waker);
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

    /// The lane's call has its answer, or will have none: which it was, and whether it was the first.
    pub(crate) fn finish(&mut self, id: LaneId) -> Option<(CallId, bool)> {
        let lane = &mut self.lanes[id as usize];
        let call = lane.call.take()?;
        let first = !std::mem::replace(&mut lane.used, true);
        self.calls[call.slot as usize].take_if(|(noted, _)| *noted == call);
        Some((call, first))
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

    /// Closes a lane's connection and ends its task.
    pub(crate) fn close(&mut self, id: LaneId) {
        let lane = std::mem::replace(&mut self.lanes[id as usize], Lane::vacant());
        if let Some(task) = lane.task {
            task.abort();
            self.free.push(id);
        }
    }

    /// Closes all connections.
    pub(crate) fn clear(&mut self) {
        for task in self.lanes.drain(..).filter_map(|lane| lane.task) {
            task.abort();
        }
        self.idle.clear();
        self.calls.clear();
        self.free.clear();
    }
}
