//! What is to happen, in order of time; of two things at one time, what was planned first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ws2http_core::Timestamp;

#[derive(Debug)]
struct Entry<T> {
    at: Timestamp,
    order: u64,
    step: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// The heap gives its greatest first: the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// The plan of everything that is still to happen.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    planned: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Queue { heap: BinaryHeap::new(), planned: 0 }
    }

    pub(super) fn push(&mut self, at: Timestamp, step: T) {
        self.planned += 1;
        self.heap.push(Entry { at, order: self.planned, step });
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.step))
    }
}
