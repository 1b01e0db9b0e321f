//! Deadlines of sockets.
//!
//! Activity never touches the queue: a socket has one valid entry, its earliest deadline when that
//! was entered, and when the entry comes up the socket is looked at and entered again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{ConnId, Timestamp};

/// The queue of socket deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, ConnId)>>,
}

impl Timers {
    pub(crate) fn push(&mut self, at: Timestamp, conn: ConnId) {
        self.heap.push(Reverse((at, conn)));
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out an entry whose time has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<(Timestamp, ConnId)> {
        if self.next()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        if self.heap.is_empty() {
            // After a wave: give the memory back.
            self.heap.shrink_to(64);
        }
        Some(entry)
    }

    /// Drops the entries of sockets that are gone when they are most of the queue.
    pub(crate) fn sweep(&mut self, sockets: usize, valid: impl Fn(Timestamp, ConnId) -> bool) {
        if self.heap.len() > 2 * sockets + 1024 {
            self.heap.retain(|Reverse((at, conn))| valid(*at, *conn));
            self.heap.shrink_to(2 * self.heap.len());
        }
    }
}

/// Why [`crate::Gateway::poll_timeout`] wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerReason {
    /// A socket: slow head, ping due, pong missing, stalled queue, closing handshake.
    Socket,
    /// A call to the API has taken too long.
    Call,
    /// A `DELETE` is due for its repeat, or has been repeated long enough.
    Disconnect,
    /// The drain closes the next client or ends.
    Drain,
}
