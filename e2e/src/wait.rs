//! Waiting on conditions. Every wait has one generous deadline and says what it waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long any single wait may take before the scenario fails. Generous: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// How long something that must not happen is given to happen.
pub const QUIET: Duration = Duration::from_millis(300);

/// The result of `future`.
///
/// # Panics
/// When [`DEADLINE`] passes first; the message names `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// Waits until `look` finds something.
///
/// # Panics
/// When [`DEADLINE`] passes first; the message names `what`.
pub async fn found<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    match found_by(DEADLINE, look).await {
        Some(value) => value,
        None => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// When [`DEADLINE`] passes first; the message names `what`.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    found(what, || condition().then_some(())).await;
}

/// Looks again and again, for as long as `patience`, until there is something.
pub async fn found_by<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(Duration::from_millis(4)).await;
    }
}

/// Holds something back until the scenario says so.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Opens it, for good.
    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been opened.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends when it is open.
    pub fn opened(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let open = self.0.clone();
        async move {
            while !open.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}
