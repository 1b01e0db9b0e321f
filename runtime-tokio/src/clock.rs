//! The clock that all workers of a process share.

use std::time::Duration;

use tokio::time::Instant;
use ws2http_core::Timestamp;

/// Tells the time since an origin. It is tokio's time, so a simulation may pause it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Timestamp {
        let micros = self.origin.elapsed().as_micros();
        // Half a million years.
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        let since = at.since(Timestamp::ZERO);
        // Later than the clock can tell is late enough.
        self.origin.checked_add(since).unwrap_or_else(|| Instant::now() + FAR)
    }
}

/// As good as never.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
