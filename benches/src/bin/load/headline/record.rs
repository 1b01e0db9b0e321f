//! What every second of the run was like.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::crowd::Report;
use super::crowds::Crowds;
use crate::latency::{self, Latency};
use crate::report::mib;
use crate::server::Server;
use crate::usage::{Memory, Usage, machine_cpu};

/// What the clients were doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Ramp,
    Hold,
    Leave,
}

/// One second.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    /// When it ended, since the start.
    pub(crate) seconds: f64,
    pub(crate) phase: Phase,
    /// WebSockets that are open.
    pub(crate) open: u64,
    /// Messages answered, per second.
    pub(crate) messages_per_second: f64,
    pub(crate) latency: Latency,
    /// Resident bytes of all gateways together.
    pub(crate) resident: u64,
    /// Processor time per second: of all gateways, the API, all clients with this process, and everyone else.
    pub(crate) gateways_cpu: f64,
    pub(crate) api_cpu: f64,
    pub(crate) load_cpu: f64,
    pub(crate) others_cpu: f64,
}

/// What was used by a moment.
struct Used {
    at: Instant,
    answered: u64,
    gateways: Vec<Usage>,
    api: Usage,
    load: Vec<Usage>,
    machine: Duration,
}

/// Makes the records.
pub(crate) struct Recorder<'a> {
    gateways: &'a [Server],
    api: &'a Server,
    start: Instant,
    last: Used,
    /// The sums of the last report.
    pub(crate) total: Report,
    /// Latencies since the last [`Recorder::forget`].
    pub(crate) latencies: Histogram<u64>,
    pub(crate) records: Vec<Record>,
}

impl<'a> Recorder<'a> {
    /// Starts the clock.
    pub(crate) fn new(gateways: &'a [Server], api: &'a Server, crowds: &Crowds) -> Result<Recorder<'a>> {
        let last = Used::look(gateways, api, crowds, 0)?;
        Ok(Recorder {
            gateways,
            api,
            start: last.at,
            last,
            total: Report::default(),
            latencies: latency::histogram(),
            records: Vec::new(),
        })
    }

    /// When the next second ends: at whole seconds from the start, unless the last record came late.
    pub(crate) fn next_at(&self) -> Instant {
        let whole = (self.last.at - self.start).as_secs_f64().round() as u64 + 1;
        self.start + Duration::from_secs(whole)
    }

    /// Forgets the latencies so far.
    pub(crate) fn forget(&mut self) {
        self.latencies.reset();
    }

    /// Records what happened since the last time, and prints it.
    pub(crate) fn record(&mut self, crowds: &mut Crowds, phase: Phase) -> Result<&Record> {
        let (total, latencies) = crowds.report()?;
        let now = Used::look(self.gateways, self.api, crowds, total.answered)?;
        let seconds = (now.at - self.last.at).as_secs_f64();
        let sum = |now: &[Usage], then: &[Usage]| -> f64 {
            now.iter().zip(then).map(|(now, then)| now.since(then).cpu.as_secs_f64() / seconds).sum()
        };
        let gateways_cpu = sum(&now.gateways, &self.last.gateways);
        let api_cpu = now.api.since(&self.last.api).cpu.as_secs_f64() / seconds;
        // Once some have left, the rest cannot be told apart any more: the machine's time is all there is then.
        let same = now.load.len() == self.last.load.len();
        let load_cpu = if same { sum(&now.load, &self.last.load) } else { 0.0 };
        let machine = (now.machine.saturating_sub(self.last.machine)).as_secs_f64() / seconds;
        let resident = self.gateways.iter().map(|gateway| Ok(Memory::of(gateway.pid())?.resident));
        let record = Record {
            seconds: (now.at - self.start).as_secs_f64(),
            phase,
            open: total.opened - total.closed,
            messages_per_second: (now.answered - self.last.answered) as f64 / seconds,
            latency: Latency::of(&latencies),
            resident: resident.sum::<Result<u64>>()?,
            gateways_cpu,
            api_cpu,
            load_cpu,
            others_cpu: if same { (machine - gateways_cpu - api_cpu - load_cpu).max(0.0) } else { 0.0 },
        };
        self.latencies.add(&latencies)?;
        (self.last, self.total) = (now, total);
        self.records.push(record);
        let record = &self.records[self.records.len() - 1];
        record.print();
        Ok(record)
    }
}

impl Used {
    fn look(gateways: &[Server], api: &Server, crowds: &Crowds, answered: u64) -> Result<Used> {
        let mut load = crowds.pids();
        load.push(std::process::id());
        Ok(Used {
            at: Instant::now(),
            answered,
            gateways: gateways.iter().map(|gateway| Usage::of(gateway.pid())).collect::<Result<_>>()?,
            api: Usage::of(api.pid())?,
            // One that ends right now was not asked for its last second.
            load: load.into_iter().filter_map(|pid| Usage::of(pid).ok()).collect(),
            machine: machine_cpu()?,
        })
    }
}

impl Record {
    pub(crate) fn print_head() {
        println!(
            "{:>6}  {:<6}{:>11}{:>10}{:>9}{:>9}{:>9}{:>11}{:>8}{:>11}{:>7}{:>7}{:>8}",
            "time",
            "",
            "WebSockets",
            "messages",
            "p50",
            "p99",
            "max",
            "resident",
            "each",
            "processors",
            "API",
            "load",
            "others"
        );
        println!(
            "{:>6}  {:<6}{:>11}{:>10}{:>9}{:>9}{:>9}{:>11}{:>8}{:>11}",
            "s", "", "open", "per s", "ms", "ms", "ms", "MiB", "bytes", "gateways"
        );
    }

    fn print(&self) {
        let phase = format!("{:?}", self.phase).to_lowercase();
        let each = if self.open == 0 { "-".to_owned() } else { (self.resident / self.open).to_string() };
        println!(
            "{:>6.1}  {phase:<6}{:>11}{:>10.0}{:>9.2}{:>9.2}{:>9.2}{:>11.1}{:>8}{:>11.2}{:>7.2}{:>7.2}{:>8.2}",
            self.seconds,
            self.open,
            self.messages_per_second,
            self.latency.p50_us / 1e3,
            self.latency.p99_us / 1e3,
            self.latency.max_us / 1e3,
            mib(self.resident),
            each,
            self.gateways_cpu,
            self.api_cpu,
            self.load_cpu,
            self.others_cpu
        );
    }
}
