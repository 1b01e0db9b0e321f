//! What has something to do: noted by whoever finds out, taken by the one task that does it.
//!
//! A task for each socket would cost more memory than the gateway's own state of an idle client, and
//! time for each message. So a socket has only a waker, and one task looks at all that are noted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// What one task has to look at.
pub struct Ready<K> {
    noted: Arc<Noted<K>>,
    /// Those to look at next.
    due: VecDeque<K>,
}

/// The notes that the task has not taken yet.
struct Noted<K>(Mutex<Notes<K>>);

struct Notes<K> {
    /// Perhaps some more than once.
    keys: Vec<K>,
    /// Wakes the task.
    task: Waker,
}

impl<K: Copy + Send + Sync + 'static> Ready<K> {
    /// What notes `key` when it is woken.
    pub fn waker(&self, key: K) -> Waker {
        Waker::from(Arc::new(Note { key, noted: Arc::clone(&self.noted) }))
    }

    /// Notes that `key` has something to do.
    pub fn add(&self, key: K) {
        self.noted.add(key);
    }

    /// Takes what is noted; the next note wakes `task`.
    pub fn look(&mut self, task: &Waker) {
        let mut notes = self.noted.lock();
        notes.task.clone_from(task);
        self.due.extend(notes.keys.drain(..));
    }

    /// The next one to look at. It may have gone meanwhile.
    pub fn next_due(&mut self) -> Option<K> {
        self.due.pop_front()
    }

    /// There are more to look at.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Forgets those that were to be looked at.
    pub fn clear(&mut self) {
        self.due.clear();
    }
}

impl<K> Default for Ready<K> {
    /// Without a note, and without a task.
    fn default() -> Self {
        let notes = Notes { keys: Vec::new(), task: Waker::noop().clone() };
        Ready { noted: Arc::new(Noted(Mutex::new(notes))), due: VecDeque::new() }
    }
}

impl<K> fmt::Debug for Ready<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

impl<K> Noted<K> {
    fn add(&self, key: K) {
        let mut notes = self.lock();
        notes.keys.push(key);
        // After that the task knows.
        let task = (notes.keys.len() == 1).then(|| notes.task.clone());
        drop(notes);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Note<K> {
    key: K,
    noted: Arc<Noted<K>>,
}

impl<K: Copy + Send + Sync + 'static> Wake for Note<K> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.noted.add(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_once_for_all_that_it_has_not_taken() {
        let (mut ready, task) = (Ready::default(), Arc::new(Task::default()));
        let wakers = [ready.waker(1), ready.waker(2)];
        // Noted before there is a task: that takes its first look by itself.
        wakers[0].wake_by_ref();
        let waker = Waker::from(Arc::clone(&task));
        ready.look(&waker);
        assert_eq!((&ready.due, task.0.load(Ordering::Relaxed)), (&[1].into(), 0));
        wakers[1].wake_by_ref();
        wakers[0].wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        ready.look(&waker);
        assert_eq!(ready.due, [1, 2, 1]);
        wakers[1].wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 2);
    }
}
