//! Counters of one shard, their sum over shards, and the Prometheus text (contract, section 11).

use std::fmt::Write;
use std::time::Duration;

use crate::event::ProcessStats;

/// Why a connect or a control request was refused; the label of `ws2http_refusals_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    BadRequest,
    BadHandshake,
    Unauthorised,
    Origin,
    Capacity,
    Draining,
    Duplicate,
    Waiting,
    ByApi,
    ApiFailed,
    ApiTimeout,
    Timeout,
    TooLarge,
}

const REFUSED: [&str; 13] = [
    "bad_request",
    "bad_handshake",
    "unauthorised",
    "origin",
    "capacity",
    "draining",
    "duplicate",
    "previous_connection",
    "api_refused",
    "api_failed",
    "api_timeout",
    "timeout",
    "too_large",
];

/// The label of `ws2http_pushes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Ok,
    Queued,
    NotFound,
    Full,
    OtherConnection,
}

const PUSHED: [&str; 5] = ["ok", "queued", "not_found", "full", "other_connection"];

/// The label `method` of the call histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallMethod {
    Get,
    Post,
    Delete,
}

const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];

/// Upper bounds of the histogram's buckets, in microseconds.
const BUCKETS_MICROS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];

/// Close codes with a line of their own; the last slot takes all others.
const CODES: [u16; 14] = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];

/// Durations of calls of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    buckets: [u64; BUCKETS_MICROS.len()],
    count: u64,
    sum_micros: u64,
}

impl Histogram {
    fn observe(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS_MICROS.iter().position(|bound| micros <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

/// What one shard has counted; gauges are filled in when they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub(crate) connections_opened: u64,
    pub(crate) connections_closed: u64,
    pub(crate) requests_started: u64,
    pub(crate) requests_failed: u64,
    pub(crate) requests_succeeded: u64,
    pub(crate) refusals: [u64; REFUSED.len()],
    pub(crate) pushes: [u64; PUSHED.len()],
    pub(crate) closes: [u64; CODES.len() + 1],
    pub(crate) messages_received: [u64; 2],
    pub(crate) messages_sent: [u64; 2],
    pub(crate) message_bytes_received: u64,
    pub(crate) message_bytes_sent: u64,
    pub(crate) disconnects_repeated: u64,
    pub(crate) disconnects_lost: u64,
    pub(crate) messages_lost: u64,
    pub(crate) durations: [Histogram; METHODS.len()],
    /// Gauge: open WebSockets.
    pub(crate) active_connections: u64,
    /// Gauge: sockets of any kind.
    pub(crate) sockets: u64,
    /// Gauge: calls sent and not answered.
    pub(crate) calls_in_flight: u64,
    /// Gauge: calls and messages that wait for their turn.
    pub(crate) calls_waiting: u64,
    /// Gauge: connections that have ended and whose `DELETE` has not been answered.
    pub(crate) disconnects_pending: u64,
}

impl Counters {
    pub(crate) fn refused(&mut self, reason: Refused) {
        self.refusals[reason as usize] += 1;
    }

    pub(crate) fn pushed(&mut self, result: Pushed) {
        self.pushes[result as usize] += 1;
    }

    pub(crate) fn sent(&mut self, text: bool, bytes: usize) {
        self.messages_sent[usize::from(!text)] += 1;
        self.message_bytes_sent += bytes as u64;
    }

    pub(crate) fn closed(&mut self, code: u16) {
        self.connections_closed += 1;
        let slot = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len());
        self.closes[slot] += 1;
    }

    pub(crate) fn call_took(&mut self, method: CallMethod, duration: Duration) {
        self.durations[method as usize].observe(duration);
    }

    /// Adds another shard's counters.
    pub(crate) fn add(&mut self, other: &Counters) {
        let mine = self.flat_mut();
        for (mine, theirs) in mine.into_iter().zip(other.clone().flat_mut()) {
            *mine += *theirs;
        }
        for (mine, theirs) in self.durations.iter_mut().zip(&other.durations) {
            mine.add(theirs);
        }
    }

    /// Every plain number, in one fixed order; exhaustive, so that a new field cannot be forgotten.
    fn flat_mut(&mut self) -> Vec<&mut u64> {
        let Counters {
            connections_opened,
            connections_closed,
            requests_started,
            requests_failed,
            requests_succeeded,
            refusals,
            pushes,
            closes,
            messages_received,
            messages_sent,
            message_bytes_received,
            message_bytes_sent,
            disconnects_repeated,
            disconnects_lost,
            messages_lost,
            durations: _,
            active_connections,
            sockets,
            calls_in_flight,
            calls_waiting,
            disconnects_pending,
        } = self;
        let single = [
            connections_opened,
            connections_closed,
            requests_started,
            requests_failed,
            requests_succeeded,
            message_bytes_received,
            message_bytes_sent,
            disconnects_repeated,
            disconnects_lost,
            messages_lost,
            active_connections,
            sockets,
            calls_in_flight,
            calls_waiting,
            disconnects_pending,
        ];
        let many = refusals.iter_mut().chain(pushes).chain(closes).chain(messages_received).chain(messages_sent);
        single.into_iter().chain(many).collect()
    }

    /// The text that Prometheus scrapes (exposition format 0.0.4).
    pub(crate) fn render(&self, process: &ProcessStats, runtime: &str) -> String {
        let mut page = Page(String::with_capacity(8 * 1024));
        page.counter("connections_opened", "WebSockets opened.", self.connections_opened);
        page.counter("connections_closed", "WebSockets closed.", self.connections_closed);
        page.counter(
            "requests_started",
            "Calls to the API begun, repeats of a DELETE counted each.",
            self.requests_started,
        );
        page.counter("requests_failed", "Calls to the API that failed.", self.requests_failed);
        page.counter("requests_succeeded", "Calls to the API that succeeded.", self.requests_succeeded);
        page.gauge("active_connections", "Open WebSockets.", self.active_connections);
        self.render_traffic(&mut page);
        self.render_calls(&mut page);
        page.family("ws2http_build_info", "gauge", "What is running.");
        let version = env!("CARGO_PKG_VERSION");
        page.line(format_args!("ws2http_build_info{{version=\"{version}\",runtime=\"{runtime}\"}} 1"));
        render_process(&mut page, process);
        page.0
    }

    fn render_traffic(&self, page: &mut Page) {
        page.gauge("ws2http_sockets", "Open sockets of clients and control requests.", self.sockets);
        page.labelled("ws2http_refusals_total", "Requests refused.", "reason", REFUSED, &self.refusals);
        page.labelled(
            "ws2http_messages_received_total",
            "Messages from clients.",
            "type",
            ["text", "binary"],
            &self.messages_received,
        );
        page.labelled(
            "ws2http_messages_sent_total",
            "Messages to clients.",
            "type",
            ["text", "binary"],
            &self.messages_sent,
        );
        page.counter(
            "ws2http_message_bytes_received_total",
            "Payload bytes from clients.",
            self.message_bytes_received,
        );
        page.counter("ws2http_message_bytes_sent_total", "Payload bytes to clients.", self.message_bytes_sent);
        page.labelled("ws2http_pushes_total", "Pushes.", "result", PUSHED, &self.pushes);
        let codes = CODES.map(|code| code.to_string());
        let codes = codes.iter().map(String::as_str).chain(["other"]);
        page.labelled(
            "ws2http_closes_total",
            "WebSockets closed, by the code told to the API.",
            "code",
            codes,
            &self.closes,
        );
    }

    fn render_calls(&self, page: &mut Page) {
        page.gauge("ws2http_api_calls_in_flight", "Calls to the API under way.", self.calls_in_flight);
        page.gauge("ws2http_api_calls_waiting", "Calls and messages waiting for their turn.", self.calls_waiting);
        page.gauge(
            "ws2http_disconnects_pending",
            "Ended connections whose DELETE is not answered yet.",
            self.disconnects_pending,
        );
        page.counter("ws2http_disconnects_repeated_total", "DELETEs sent again.", self.disconnects_repeated);
        page.counter("ws2http_disconnects_lost_total", "DELETEs given up.", self.disconnects_lost);
        let help = "Messages from clients that no call was made for by the end of a drain.";
        page.counter("ws2http_messages_lost_total", help, self.messages_lost);
        let name = "ws2http_api_call_duration_seconds";
        page.family(name, "histogram", "Time from a call's start to its end.");
        for (method, histogram) in METHODS.iter().zip(&self.durations) {
            let mut below = 0;
            for (bound, count) in BUCKETS_MICROS.iter().zip(histogram.buckets) {
                below += count;
                let bound = *bound as f64 / 1e6;
                page.line(format_args!("{name}_bucket{{method=\"{method}\",le=\"{bound}\"}} {below}"));
            }
            let (count, sum) = (histogram.count, histogram.sum_micros as f64 / 1e6);
            page.line(format_args!("{name}_bucket{{method=\"{method}\",le=\"+Inf\"}} {count}"));
            page.line(format_args!("{name}_sum{{method=\"{method}\"}} {sum}"));
            page.line(format_args!("{name}_count{{method=\"{method}\"}} {count}"));
        }
    }
}

fn render_process(page: &mut Page, process: &ProcessStats) {
    page.family("process_cpu_seconds_total", "counter", "CPU time of the process.");
    page.line(format_args!("process_cpu_seconds_total {}", process.cpu_seconds));
    page.gauge("process_resident_memory_bytes", "Resident memory.", process.resident_bytes);
    page.gauge("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes);
    page.gauge("process_open_fds", "Open descriptors.", process.open_fds);
    page.gauge("process_max_fds", "The most descriptors that may be open.", process.max_fds);
    page.family("process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.");
    page.line(format_args!("process_start_time_seconds {}", process.start_time_seconds));
}

struct Page(String);

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.line(format_args!("{name} {value}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    fn labelled<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = &'a str>,
        counts: &[u64],
    ) {
        self.family(name, "counter", help);
        for (value, count) in values.into_iter().zip(counts) {
            self.line(format_args!("{name}{{{label}=\"{value}\"}} {count}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_shards_adds_every_number() {
        let mut one = Counters::default();
        for (index, number) in one.flat_mut().into_iter().enumerate() {
            *number = index as u64 + 1;
        }
        one.call_took(CallMethod::Post, Duration::from_millis(3));
        let mut sum = one.clone();
        sum.add(&one);
        for (twice, once) in sum.flat_mut().into_iter().zip(one.clone().flat_mut()) {
            assert_eq!(*twice, 2 * *once);
        }
        assert_eq!(sum.durations[CallMethod::Post as usize].count, 2);
    }

    #[test]
    fn histogram_buckets_are_cumulative_and_end_at_infinity() {
        let mut counters = Counters::default();
        for millis in [0, 3, 3, 100_000] {
            counters.call_took(CallMethod::Get, Duration::from_millis(millis));
        }
        let page = counters.render(&ProcessStats::default(), "test");
        let line = |le: &str| format!("ws2http_api_call_duration_seconds_bucket{{method=\"GET\",le=\"{le}\"}}");
        for (le, count) in [("0.0005", 1), ("0.0025", 1), ("0.005", 3), ("60", 3), ("+Inf", 4)] {
            assert!(page.contains(&format!("{} {count}\n", line(le))), "{le}: {page}");
        }
    }

    #[test]
    fn every_sample_has_help_and_type() {
        let page = Counters::default().render(&ProcessStats::default(), "test");
        let mut family = "";
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line}");
            }
        }
        for name in
            ["connections_opened", "connections_closed", "requests_started", "requests_failed", "requests_succeeded"]
        {
            assert!(page.contains(&format!("# TYPE {name} counter\n{name} 0\n")));
        }
    }
}
