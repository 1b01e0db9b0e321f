//! The clock that all workers of a process share.

use std::time::{Duration, Instant};

use ws2http_core::Timestamp;

/// Turns the runtime's time into the gateway's, which counts from an origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start(origin: Instant) -> Self {
        Clock { origin }
    }

    pub(crate) fn timestamp(self, at: Instant) -> Timestamp {
        let micros = at.saturating_duration_since(self.origin).as_micros();
        // Half a million years.
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        let since = at.since(Timestamp::ZERO);
        // Later than the clock can tell is late enough.
        self.origin.checked_add(since).unwrap_or_else(|| self.origin + FAR)
    }
}

/// As good as never.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
