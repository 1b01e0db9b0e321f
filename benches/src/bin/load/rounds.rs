//! Rounds in which gateways and the bare relay do the same work, one after the other, and what comes of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::{Common, Compare, Only};
use crate::client::Wire;
use crate::latency::Latency;
use crate::report::{Machine, Spread};
use crate::server::{self, Server};
use crate::stage::{self, Between, Watched};
use crate::swarm::Target;

/// The clients go on for so long after the last look, so that it finds all at work.
pub(crate) const MARGIN: Duration = Duration::from_millis(300);

/// What is compared, and how.
pub(crate) struct Contest<'a> {
    pub(crate) common: &'a Common,
    pub(crate) compare: &'a Compare,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// What is counted: "message".
    pub(crate) unit: &'static str,
}

/// One who takes part in a round.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) api: Server,
    pub(crate) target: Target,
}

/// What a scenario measured of one subject.
pub(crate) struct Measured {
    pub(crate) between: Between,
    pub(crate) latencies: Vec<Histogram<u64>>,
    pub(crate) syscalls: Option<f64>,
    pub(crate) bytes_per_client: Option<f64>,
}

/// What one round came to, for one subject.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    round: usize,
    /// `relay`, or the gateway's program.
    pub(crate) subject: String,
    /// Messages, or connects.
    count: u64,
    per_second: f64,
    latency: Latency,
    /// Processor time for each, in microseconds: of the subject, the API server, the clients.
    cpu_us: f64,
    api_cpu_us: f64,
    load_cpu_us: f64,
    /// The subject's processor time over that of the API and the clients: steadier than either from run to run, as
    /// the machine's speed cancels out. For comparing gateways of two runs; not the ratio to the relay.
    cpu_relative: f64,
    /// How often a thread of the subject went to sleep, for each.
    sleeps: f64,
    /// System calls of the subject for each, if they were counted.
    syscalls: Option<f64>,
    /// Resident bytes of the subject for each client, if they were looked at.
    pub(crate) bytes_per_client: Option<f64>,
    /// What other processes took of the machine meanwhile.
    others_percent: f64,
}

/// A gateway against the relay, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Ratios {
    pub(crate) gateway: String,
    pub(crate) cpu: Spread,
    per_second: Spread,
    p50: Spread,
    p99: Spread,
    /// Milliseconds that the gateway's latencies are over the relay's.
    pub(crate) added_p50_ms: Spread,
    pub(crate) added_p99_ms: Spread,
}

/// All rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    machine: Machine,
    pub(crate) rounds: Vec<Round>,
    pub(crate) ratios: Vec<Ratios>,
}

const RELAY: &str = "relay";

impl Contest<'_> {
    /// Lets every subject do the work of `measure` in every round; prints as it goes, and the ratios at the end.
    pub(crate) fn run(&self, measure: impl Fn(&Subject) -> Result<Measured>) -> Result<Outcome> {
        let gateways = names(&self.compare.gateway);
        let width = gateways.iter().map(|(name, _)| name.len() + 2).max().unwrap_or_default().max(9);
        print_head(width, self.unit);
        let mut rounds = Vec::new();
        for number in 1..=self.compare.rounds {
            let relay = (self.compare.only != Some(Only::Gateway)).then_some((RELAY.to_owned(), None));
            let all = gateways.iter().map(|(name, file)| (name.clone(), Some(*file)));
            for (name, file) in relay.into_iter().chain(all.filter(|_| self.compare.only != Some(Only::Relay))) {
                let subject = self.start(name, file)?;
                let measured = measure(&subject)
                    .with_context(|| format!("round {number}, {}{}", subject.name, subject.server.last_words()))?;
                let round = Round::of(number, &subject.name, &measured)?;
                if file.is_some() {
                    subject.server.stop()?;
                }
                print_round(width, &round);
                rounds.push(round);
            }
        }
        stage::warn_of_others(rounds.iter().map(|round| round.others_percent));
        let compared = gateways.iter().filter(|_| self.compare.only.is_none());
        let ratios: Vec<_> = compared.map(|(name, _)| Ratios::of(&rounds, name)).collect();
        print_medians(width, &rounds);
        ratios.iter().for_each(|ratios| ratios.print(self.unit));
        Ok(Outcome { machine: Machine::here(), rounds, ratios })
    }

    /// Starts the relay, or the gateway in `file`, with an API server of its own.
    pub(crate) fn start(&self, name: String, file: Option<&Path>) -> Result<Subject> {
        let api = server::start_api(self.common.api_threads)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (server, wire) = match file {
            None => (server::start_relay(api.address, self.compare.relay_threads.unwrap_or(cores))?, Wire::Relay),
            Some(file) => (stage::start_gateway(file, self.common, &api)?, Wire::WebSocket),
        };
        let target = Target { address: server.address, wire, size: self.size };
        Ok(Subject { name, server, api, target })
    }
}

impl Subject {
    /// It, its API, and what counts its work.
    pub(crate) fn watched<'a>(&'a self, done: &'a AtomicU64, syscalls: bool) -> Watched<'a> {
        Watched { target: &self.server, api: &self.api, done, syscalls }
    }
}

impl Outcome {
    /// Fails if a gateway takes more than `--assert-ratio` allows.
    pub(crate) fn check_ratio(&self, compare: &Compare) -> Result<()> {
        let Some(most) = compare.assert_ratio else { return Ok(()) };
        for ratios in &self.ratios {
            let (name, ratio) = (&ratios.gateway, ratios.cpu.median);
            ensure!(ratio <= most, "{name} takes {ratio:.2} times the relay's processor time: more than {most}");
        }
        Ok(())
    }
}

/// The programs with the names to show: those of their files, or all of the path if two would be alike.
fn names(files: &[PathBuf]) -> Vec<(String, &Path)> {
    let short = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let alike = |file| files.iter().filter(|other| short(other) == short(file)).count() > 1;
    let name = |file| if alike(file) { file.display().to_string() } else { short(file) };
    files.iter().map(|file| (name(file), file.as_path())).collect()
}

impl Round {
    pub(crate) fn is_relay(&self) -> bool {
        self.subject == RELAY
    }

    fn of(round: usize, subject: &str, measured: &Measured) -> Result<Round> {
        let between = &measured.between;
        ensure!(between.done > 0, "nothing was done while it was measured");
        Ok(Round {
            round,
            subject: subject.to_owned(),
            count: between.done,
            per_second: between.per_second(),
            latency: Latency::of(&crate::team::merge(&measured.latencies)?),
            cpu_us: between.cpu_us(&between.target),
            api_cpu_us: between.cpu_us(&between.api),
            load_cpu_us: between.cpu_us(&between.load),
            cpu_relative: between.target.cpu.as_secs_f64() / (between.api.cpu + between.load.cpu).as_secs_f64(),
            sleeps: between.target.voluntary as f64 / between.done as f64,
            syscalls: measured.syscalls,
            bytes_per_client: measured.bytes_per_client,
            others_percent: between.others_percent(),
        })
    }
}

impl Ratios {
    fn of(rounds: &[Round], gateway: &str) -> Ratios {
        let of = |name| rounds.iter().filter(move |round: &&Round| round.subject == name);
        let pairs = |compare: &dyn Fn(&Round, &Round) -> f64| {
            Spread::of(of(gateway).zip(of(RELAY)).map(|(gateway, relay)| compare(gateway, relay)))
        };
        let ratio = |value: fn(&Round) -> f64| pairs(&|gateway, relay| value(gateway) / value(relay));
        let added = |value: fn(&Round) -> f64| pairs(&|gateway, relay| (value(gateway) - value(relay)) / 1e3);
        Ratios {
            gateway: gateway.to_owned(),
            cpu: ratio(|round| round.cpu_us),
            per_second: ratio(|round| round.per_second),
            p50: ratio(|round| round.latency.p50_us),
            p99: ratio(|round| round.latency.p99_us),
            added_p50_ms: added(|round| round.latency.p50_us),
            added_p99_ms: added(|round| round.latency.p99_us),
        }
    }

    fn print(&self, unit: &str) {
        println!("{} / relay, median of the rounds (least .. most):", self.gateway);
        let line = |name: &str, spread: Spread| {
            println!("  {name:<24}{:>7.2}  ({:.2} .. {:.2})", spread.median, spread.min, spread.max);
        };
        line(&format!("CPU per {unit}"), self.cpu);
        line(&format!("{unit}s per second"), self.per_second);
        line("latency p50", self.p50);
        line("latency p99", self.p99);
        line("added to p50, ms", self.added_p50_ms);
        line("added to p99, ms", self.added_p99_ms);
    }
}

fn print_head(width: usize, unit: &str) {
    let heads = [
        ["", "", "p50", "p99", "max", "CPU of it", "API", "load", "", "sleeps", "syscalls", "resident", "others"],
        ["", "per s", "ms", "ms", "ms", &format!("us/{unit}"), "us", "us", "relative", "each", "each", "B/client", "%"],
    ];
    for (first, words) in ["round", ""].iter().zip(heads) {
        let [name, count, rest @ ..] = words;
        print!("{first:<8}{name:<width$}{:>10}", if first.is_empty() { count } else { unit });
        println!("{}", rest.iter().zip(WIDTHS).map(|(word, width)| format!("{word:>width$}")).collect::<String>());
    }
}

const WIDTHS: [usize; 11] = [9, 9, 9, 12, 8, 8, 10, 8, 10, 10, 8];

fn print_line(width: usize, name: &str, subject: &str, value: impl Fn(fn(&Round) -> Option<f64>) -> Option<f64>) {
    type Column = (fn(&Round) -> Option<f64>, usize);
    let columns: [Column; 11] = [
        (|round| Some(round.latency.p50_us / 1e3), 2),
        (|round| Some(round.latency.p99_us / 1e3), 2),
        (|round| Some(round.latency.max_us / 1e3), 2),
        (|round| Some(round.cpu_us), 2),
        (|round| Some(round.api_cpu_us), 2),
        (|round| Some(round.load_cpu_us), 2),
        (|round| Some(round.cpu_relative), 3),
        (|round| Some(round.sleeps), 3),
        (|round| round.syscalls, 2),
        (|round| round.bytes_per_client, 0),
        (|round| Some(round.others_percent), 0),
    ];
    print!("{name:<8}{subject:<width$}{:>10.0}", value(|round| Some(round.per_second)).unwrap_or_default());
    for ((column, digits), width) in columns.into_iter().zip(WIDTHS) {
        match value(column) {
            Some(number) => print!("{number:>width$.digits$}"),
            None => print!("{:>width$}", "-"),
        }
    }
    println!();
}

fn print_round(width: usize, round: &Round) {
    print_line(width, &round.round.to_string(), &round.subject, |column| column(round));
}

fn print_medians(width: usize, rounds: &[Round]) {
    let first = rounds.iter().filter(|round| round.round == 1);
    for subject in first.map(|round| &round.subject) {
        let of: Vec<_> = rounds.iter().filter(|round| round.subject == *subject).collect();
        print_line(width, "median", subject, |column| {
            let values: Option<Vec<f64>> = of.iter().map(|round| column(round)).collect();
            values.map(|values| Spread::of(values).median)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(subject: &str, cpu_us: f64) -> Round {
        let latency = Latency { p50_us: cpu_us * 100.0, p90_us: 1.0, p99_us: 1.0, max_us: 1.0 };
        Round {
            round: 1,
            subject: subject.to_owned(),
            count: 1,
            per_second: 1.0,
            latency,
            cpu_us,
            api_cpu_us: 1.0,
            load_cpu_us: 1.0,
            cpu_relative: 1.0,
            sleeps: 0.0,
            syscalls: None,
            bytes_per_client: None,
            others_percent: 0.0,
        }
    }

    #[test]
    fn a_ratio_compares_the_two_of_one_round() {
        let rounds = [(10.0, 20.0, 11.0), (20.0, 30.0, 22.0), (10.0, 30.0, 11.0)];
        let all = |(relay, one, other)| [round(RELAY, relay), round("one", one), round("other", other)];
        let rounds: Vec<Round> = rounds.into_iter().flat_map(all).collect();
        let one = Ratios::of(&rounds, "one");
        assert_eq!(one.cpu, Spread { median: 2.0, min: 1.5, max: 3.0 });
        assert_eq!(one.added_p50_ms, Spread { median: 1.0, min: 1.0, max: 2.0 });
        assert_eq!(Ratios::of(&rounds, "other").cpu.max, 1.1);
    }

    #[test]
    fn a_gateway_over_the_ratio_fails_the_run() {
        let rounds = vec![round(RELAY, 10.0), round("one", 20.0)];
        let ratios = vec![Ratios::of(&rounds, "one")];
        let outcome = Outcome { machine: Machine::here(), rounds, ratios };
        let compare = |assert_ratio| Compare {
            gateway: Vec::new(),
            seconds: Duration::ZERO,
            warm_up: Duration::ZERO,
            rounds: 1,
            relay_threads: None,
            only: None,
            syscalls: false,
            assert_ratio,
        };
        assert!(outcome.check_ratio(&compare(Some(1.9))).is_err());
        assert!(outcome.check_ratio(&compare(Some(2.0))).is_ok());
        assert!(outcome.check_ratio(&compare(None)).is_ok());
    }

    #[test]
    fn programs_of_one_name_are_told_apart() {
        let files = ["a/one", "b/one", "a/two"].map(PathBuf::from);
        let shown: Vec<_> = names(&files).into_iter().map(|(name, _)| name).collect();
        assert_eq!(shown, ["a/one", "b/one", "two"]);
    }
}
