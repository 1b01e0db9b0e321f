//! Latencies, from a nanosecond to a minute, to three digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

const MAX_NS: u64 = 60_000_000_000;

/// An empty histogram of nanoseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NS, 3).expect("the bounds are right")
}

/// Records a latency; one over a minute counts as a minute.
pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(MAX_NS));
}

/// What is reported of a histogram, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Latency {
    /// Reads the quantiles.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let us = |ns: u64| ns as f64 / 1e3;
        let quantile = |q| us(histogram.value_at_quantile(q));
        Latency { p50_us: quantile(0.5), p90_us: quantile(0.9), p99_us: quantile(0.99), max_us: us(histogram.max()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_out_to_three_digits() {
        let mut seen = histogram();
        (1..=1000).for_each(|us| record(&mut seen, Duration::from_micros(us)));
        record(&mut seen, Duration::from_secs(3600));
        let latency = Latency::of(&seen);
        assert!((latency.p50_us - 501.0).abs() < 2.0, "{latency:?}");
        assert!((latency.p99_us - 991.0).abs() < 2.0, "{latency:?}");
        assert!(latency.max_us >= 60e6, "{latency:?}");
    }
}
