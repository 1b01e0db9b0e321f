//! Which lane serves which call, and which lanes are idle.
//!
//! A lane is one kept-alive connection to the API with a task of its own (`lane.rs`).

use std::task::Waker;

use bytes::Bytes;
use http::Request;
use tokio::task::AbortHandle;
use ws2http_core::{CallId, Timestamp};

/// A call on its way to a lane.
pub(crate) type Order = (CallId, Request<Bytes>);

/// Names a lane of its worker. Used again only after its task has ended or will not run again.
pub(crate) type LaneId = u32;

#[derive(Default)]
struct Lane {
    /// Ends the task, which closes the connection. `None` in a free place.
    task: Option<AbortHandle>,
    /// Wakes the task, if it waits for an order.
    waker: Option<Waker>,
    waiting: bool,
    order: Option<Order>,
}

/// The lanes of one worker.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    free: Vec<LaneId>,
    /// The last one in is the first one out, so that superfluous ones stay idle and are closed.
    idle: Vec<(LaneId, Timestamp)>,
    max_idle: usize,
    /// The lane of each call, by the call's slot.
    calls: Vec<Option<(CallId, LaneId)>>,
    /// When to look for idle lanes to close; perhaps too early, never too late.
    sweep: Option<Timestamp>,
}

impl Lanes {
    pub(crate) fn new(max_idle: usize) -> Self {
        Lanes { lanes: Vec::new(), free: Vec::new(), idle: Vec::new(), max_idle, calls: Vec::new(), sweep: None }
    }

    /// Gives a call to the idle lane that was used last; gives it back if none is idle.
    pub(crate) fn give_idle(&mut self, order: Order) -> Option<Order> {
        let Some((id, _)) = self.idle.pop() else {
            return Some(order);
        };
        self.note(order.0, id);
        let lane = &mut self.lanes[id as usize];
        lane.order = Some(order);
        // One that has just been put by, and still runs, sees the order without being woken.
        if std::mem::take(&mut lane.waiting)
            && let Some(waker) = &lane.waker
        {
            waker.wake_by_ref();
        }
        None
    }

    /// A place for a new lane, whose first call is this one.
    pub(crate) fn open(&mut self, call: CallId) -> LaneId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(Lane::default());
            // Each lane is a descriptor; the system has fewer than this can count.
            LaneId::try_from(self.lanes.len() - 1).expect("fewer lanes than descriptors")
        });
        self.note(call, id);
        id
    }

    /// Names the task of a new lane.
    pub(crate) fn started(&mut self, id: LaneId, task: AbortHandle) {
        self.lanes[id as usize].task = Some(task);
    }

    fn note(&mut self, call: CallId, lane: LaneId) {
        let slot = call.slot as usize;
        if slot >= self.calls.len() {
            self.calls.resize(slot + 1, None);
        }
        self.calls[slot] = Some((call, lane));
    }

    /// Forgets a call that has ended.
    pub(crate) fn forget(&mut self, call: CallId) -> Option<LaneId> {
        let entry = self.calls.get_mut(call.slot as usize)?;
        let (_, lane) = entry.take_if(|(noted, _)| *noted == call)?;
        Some(lane)
    }

    /// Gives a call up and closes its connection.
    pub(crate) fn cancel(&mut self, call: CallId) {
        if let Some(lane) = self.forget(call) {
            self.abort(lane);
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

    /// The next call of an idle lane, if it has been given one.
    pub(crate) fn take_order(&mut self, id: LaneId) -> Option<Order> {
        self.lanes[id as usize].order.take()
    }

    /// Has a lane woken when it is given a call.
    pub(crate) fn wait(&mut self, id: LaneId, waker: &Waker) {
        let lane = &mut self.lanes[id as usize];
        lane.waiting = true;
        match &mut lane.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Forgets a lane whose task ends by itself. An order that just came is given back.
    pub(crate) fn ended(&mut self, id: LaneId) -> Option<Order> {
        self.idle.retain(|(idle, _)| *idle != id);
        self.free.push(id);
        std::mem::take(&mut self.lanes[id as usize]).order
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
            self.abort(id);
        }
        self.sweep = self.idle.iter().map(|(_, until)| *until).min();
    }

    fn abort(&mut self, id: LaneId) {
        if let Some(task) = std::mem::take(&mut self.lanes[id as usize]).task {
            task.abort();
        }
        self.free.push(id);
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
