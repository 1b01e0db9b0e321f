//! SIGTERM and SIGINT: the first one drains, the second one ends at once (contract, section 8).

use std::fmt;
use std::io;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    signalled: bool,
    callback: Option<Callback>,
}

/// Tells a runtime when to drain.
#[derive(Clone, Default)]
pub struct Stop(Arc<Mutex<State>>);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}

impl Stop {
    /// What to do at the first signal; if it has come already, it is done now. Only one is kept.
    pub fn on_drain(&self, callback: Box<dyn FnOnce() + Send>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.signalled {
            drop(state);
            callback();
        } else {
            state.callback = Some(callback);
        }
    }

    fn signal(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.signalled = true;
        let callback = state.callback.take();
        drop(state);
        if let Some(callback) = callback {
            callback();
        }
    }
}

/// Listens for signals. At the second one `at_end` runs and the process ends with exit code 1.
pub(crate) fn listen(at_end: impl Fn() + Send + 'static) -> io::Result<Stop> {
    let stop = Stop::default();
    let told = stop.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            // First: with nobody there, the process may be gone right after the signal.
            info!("draining: no new connects, clients are sent away; a second signal ends at once");
            told.signal();
        }
        if signals.next().is_some() {
            warn!("ended by a second signal before the drain was done");
            at_end();
            process::exit(1);
        }
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn counter() -> (Arc<AtomicUsize>, Callback) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let callback = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        (count, Box::new(callback))
    }

    #[test]
    fn the_callback_runs_once_whichever_comes_first() {
        let stop = Stop::default();
        let (before, callback) = counter();
        stop.on_drain(callback);
        assert_eq!(before.load(Ordering::SeqCst), 0);
        stop.signal();
        stop.signal();
        assert_eq!(before.load(Ordering::SeqCst), 1);
        let (after, callback) = counter();
        stop.on_drain(callback);
        assert_eq!(after.load(Ordering::SeqCst), 1);
    }
}
