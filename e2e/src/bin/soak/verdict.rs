//! What must be true when everybody has gone.

use std::time::Duration;

use ws2http_e2e::api::{Api, Law};
use ws2http_e2e::gateway::Gateway;
use ws2http_e2e::metrics::Metrics;
use ws2http_e2e::traffic::Town;
use ws2http_e2e::wait::found_by;

/// When the gateway is warm.
const WARM: Duration = Duration::from_secs(180);

/// The shortest run that says something about memory: the warm-up is over long before the end begins.
const MEMORY: Duration = Duration::from_secs(300);

/// How long everything may take to drain: longer than the pauses between repeats of a DELETE.
const DRAIN: Duration = Duration::from_secs(180);

/// What resident memory may grow by between the warm-up and the end.
const GROWTH: f64 = 1.10;
const GROWTH_BYTES: f64 = 4.0 * 1024.0 * 1024.0;

/// Figures of the gateway at one moment.
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) rss: u64,
    pub(crate) descriptors: usize,
}

impl Sample {
    pub(crate) fn take(gateway: &Gateway, at: Duration) -> Sample {
        Sample { at, rss: gateway.rss(), descriptors: gateway.descriptors() }
    }
}

/// Waits until all is quiet, judges, and ends the gateway.
pub(crate) async fn judge(gateway: &mut Gateway, api: &Api, town: &Town, samples: &[Sample], idle: usize) -> bool {
    let mut wrong = Vec::new();
    let settled = found_by(DRAIN, || api.law(|law| law.unsettled().is_empty().then_some(()))).await;
    if settled.is_none() {
        wrong.push(format!("not settled: {:#?}", api.law(Law::unsettled)));
    }
    wrong.extend(town.complaints());
    wrong.extend(api.violations());
    api.close_idle();
    wrong.extend(figures(gateway).await);
    wrong.extend(descriptors(gateway, idle).await);
    wrong.extend(memory(samples));
    gateway.sigterm();
    let status = gateway.wait_exit().await;
    if !status.success() {
        wrong.push(format!("SIGTERM ended it with {status}"));
    }
    wrong.iter().for_each(|text| println!("WRONG: {text}"));
    wrong.is_empty()
}

async fn figures(gateway: &Gateway) -> Vec<String> {
    const ZERO: [&str; 5] = [
        "active_connections",
        "ws2http_api_calls_in_flight",
        "ws2http_api_calls_waiting",
        "ws2http_disconnects_pending",
        "ws2http_disconnects_lost_total",
    ];
    let mut left = Vec::new();
    for _ in 0..50 {
        let metrics = gateway.metrics().await;
        left = ZERO.iter().filter_map(|name| nonzero(&metrics, name)).collect();
        let (opened, closed) = (metrics.sum("connections_opened"), metrics.sum("connections_closed"));
        if opened != closed {
            left.push(format!("{opened} connections opened, {closed} closed"));
        }
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    left
}

fn nonzero(metrics: &Metrics, name: &str) -> Option<String> {
    if !metrics.has(name) {
        return Some(format!("there is no metric {name}"));
    }
    let value = metrics.sum(name);
    (value != 0.0).then(|| format!("{name} is {value}"))
}

async fn descriptors(gateway: &Gateway, idle: usize) -> Option<String> {
    let back = found_by(Duration::from_secs(20), || (gateway.descriptors() <= idle + 2).then_some(()));
    let left = || format!("{} descriptors, {idle} at first", gateway.descriptors());
    back.await.is_none().then(left)
}

fn memory(samples: &[Sample]) -> Option<String> {
    let last = samples.last().map_or(Duration::ZERO, |sample| sample.at);
    if last < MEMORY {
        println!("resident: not judged in less than {} minutes", MEMORY.as_secs() / 60);
        return None;
    }
    let around = Duration::from_secs(30);
    let median = |from: Duration, to: Duration| {
        let within = samples.iter().filter(|sample| sample.at >= from && sample.at <= to);
        let mut within: Vec<u64> = within.map(|sample| sample.rss).collect();
        within.sort_unstable();
        within.get(within.len() / 2).map(|rss| *rss as f64)
    };
    let before = median(WARM - around, WARM + around)?;
    let after = median(last - 2 * around, last)?;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!("resident: {:.1} MiB when warm, {:.1} MiB at the end", mib(before), mib(after));
    let grown = after > before * GROWTH + GROWTH_BYTES;
    grown.then(|| format!("memory grew from {:.1} to {:.1} MiB", mib(before), mib(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of so many minutes that ends with `growth` times the memory that it had when warm.
    fn run(minutes: u64, growth: u64) -> Vec<Sample> {
        let rss = |seconds| if seconds < minutes * 30 { 100 << 20 } else { growth * (100 << 20) };
        let take = |step| Sample { at: Duration::from_secs(step * 10), rss: rss(step * 10), descriptors: 9 };
        (1..=minutes * 6).map(take).collect()
    }

    #[test]
    fn memory_that_grows_is_found_in_all_but_short_runs() {
        assert_eq!(memory(&run(1, 2)), None, "too short to tell");
        for minutes in [10, 30] {
            assert!(memory(&run(minutes, 2)).is_some());
            assert_eq!(memory(&run(minutes, 1)), None);
        }
    }
}
