//! What has something to do: noted by whoever finds out, taken by the one task that does it.
//!
//! A task for each socket would cost more memory than the gateway's own state of an idle client, and
//! time for each message. So a socket has only a waker, and one task looks at all that are noted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The notes of one task.
pub struct Ready<K>(Mutex<Notes<K>>);

struct Notes<K> {
    /// Perhaps some more than once.
    keys: Vec<K>,
    /// Wakes the task.
    task: Waker,
}

impl<K: Copy + Send + Sync + 'static> Ready<K> {
    /// Without a note, and without a task.
    pub fn new() -> Arc<Self> {
        Arc::new(Ready(Mutex::new(Notes { keys: Vec::new(), task: Waker::noop().clone() })))
    }

    /// What notes `key` when it is woken.
    pub fn waker(self: &Arc<Self>, key: K) -> Waker {
        Waker::from(Arc::new(Note { key, ready: Arc::clone(self) }))
    }

    /// Notes that `key` has something to do.
    pub fn add(&self, key: K) {
        let mut notes = self.lock();
        notes.keys.push(key);
        // After that the task knows.
        let task = (notes.keys.len() == 1).then(|| notes.task.clone());
        drop(notes);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Appends what is noted to `keys`; the next note wakes `task`.
    pub fn take(&self, task: &Waker, keys: &mut VecDeque<K>) {
        let mut notes = self.lock();
        notes.task.clone_from(task);
        keys.extend(notes.keys.drain(..));
    }

    fn lock(&self) -> MutexGuard<'_, Notes<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> fmt::Debug for Ready<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

struct Note<K> {
    key: K,
    ready: Arc<Ready<K>>,
}

impl<K: Copy + Send + Sync + 'static> Wake for Note<K> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.add(self.key);
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
        let (ready, task, mut keys) = (Ready::new(), Arc::new(Task::default()), VecDeque::new());
        let wakers = [ready.waker(1), ready.waker(2)];
        // Noted before there is a task: that takes its first look by itself.
        wakers[0].wake_by_ref();
        let waker = Waker::from(Arc::clone(&task));
        ready.take(&waker, &mut keys);
        assert_eq!((keys.make_contiguous(), task.0.load(Ordering::Relaxed)), (&mut [1][..], 0));
        wakers[1].wake_by_ref();
        wakers[0].wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        ready.take(&waker, &mut keys);
        assert_eq!(keys, [1, 2, 1]);
        wakers[1].wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 2);
    }
}
