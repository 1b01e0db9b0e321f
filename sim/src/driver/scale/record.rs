//! What the scale run records of each simulated second.

use std::time::Duration;

use super::gibibytes;

/// One simulated second, seen at its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    /// Seconds since the start.
    pub(crate) at: u32,
    /// Open connections.
    pub(crate) connections: u64,
    /// Messages answered, and pushes received, in this second.
    pub(crate) messages: u64,
    pub(crate) pushes: u64,
    /// Round trips in simulated milliseconds; `None` if there was none.
    pub(crate) latency: Option<Percentiles>,
    /// Calls that waited in the gateway.
    pub(crate) waiting: u64,
    /// Resident bytes of this process: gateway, clients, API and network in one.
    pub(crate) resident: u64,
    /// Since the start, on the wall.
    pub(crate) wall: Duration,
    /// And on the processor.
    pub(crate) cpu: Duration,
}

impl Second {
    /// As a line to watch.
    pub(crate) fn line(&self) -> String {
        let Second { at, connections, messages, pushes, waiting, .. } = self;
        let latency = self.latency.map_or(String::from("-"), |l| format!("{}/{}/{}", l.p50, l.p99, l.max));
        let resident = gibibytes(self.resident);
        let wall = self.wall.as_secs_f64();
        format!(
            "{at:>4} s: {connections:>7} connections {messages:>6} messages/s {pushes:>5} pushes/s  \
             p50/p99/max {latency} ms  {waiting} waiting  {resident:.2} GiB  {wall:.1} s on the wall"
        )
    }
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) p50: u32,
    pub(crate) p90: u32,
    pub(crate) p99: u32,
    pub(crate) max: u32,
}

impl Percentiles {
    /// Of counts by milliseconds.
    pub(crate) fn of(counts: &[u32]) -> Option<Percentiles> {
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let at = |percent: u64| {
            let rank = (total * percent).div_ceil(100).max(1);
            let mut below = 0;
            let found = counts.iter().position(|count| {
                below += u64::from(*count);
                below >= rank
            })?;
            u32::try_from(found).ok()
        };
        Some(Percentiles { p50: at(50)?, p90: at(90)?, p99: at(99)?, max: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_ranks() {
        assert_eq!(Percentiles::of(&[0; 10]), None);
        let mut counts = [0; 200];
        counts[1..=100].fill(1);
        assert_eq!(Percentiles::of(&counts), Some(Percentiles { p50: 50, p90: 90, p99: 99, max: 100 }));
        assert_eq!(Percentiles::of(&[0, 0, 7]), Some(Percentiles { p50: 2, p90: 2, p99: 2, max: 2 }));
    }
}
