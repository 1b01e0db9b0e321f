//! `load closed`: what a message costs, in the gateway and in the bare relay.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::{Closed, Which};
use crate::client::Wire;
use crate::latency::Latency;
use crate::report::{self, Machine, Spread};
use crate::server::{self, Server};
use crate::stage::{self, Look};
use crate::swarm::{Target, Window};
use crate::team::{self, Team};

/// The clients go on for so long after the last look, so that it finds all at work.
const MARGIN: Duration = Duration::from_millis(300);

/// Who is measured.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Relay,
    Gateway(&'a Path),
}

impl Subject<'_> {
    fn name(self) -> String {
        match self {
            Subject::Relay => RELAY.to_owned(),
            Subject::Gateway(program) => stage::name(program),
        }
    }
}

const RELAY: &str = "relay";

/// What one round measured.
#[derive(Clone, Debug, Serialize)]
struct Round {
    round: usize,
    target: String,
    messages: u64,
    messages_per_second: f64,
    latency: Latency,
    /// Processor time per message, in microseconds: of the measured program, the API server, the clients.
    cpu_us: f64,
    api_cpu_us: f64,
    load_cpu_us: f64,
    /// The measured program's processor time over that of the API and the clients: steadier than either from run to
    /// run, as the machine's speed cancels out. For comparing two gateways; not the ratio to the relay.
    cpu_relative: f64,
    /// How often a thread of the measured program went to sleep, per message.
    sleeps: f64,
    /// What other processes took of the machine meanwhile.
    others_percent: f64,
}

/// A gateway against the relay: of each round, and of all.
#[derive(Debug, Serialize)]
struct Ratios {
    gateway: String,
    cpu: Spread,
    messages_per_second: Spread,
    p50: Spread,
    p99: Spread,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    machine: Machine,
    clients: usize,
    size: usize,
    seconds: f64,
    rounds: Vec<Round>,
    ratios: Vec<Ratios>,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or a gateway takes more than `--assert-ratio`.
pub(crate) fn run(args: &Closed) -> Result<()> {
    stage::check_descriptors(args.clients)?;
    stage::check_names(&args.common)?;
    let mut rounds = Vec::new();
    let machine = Machine::here();
    println!("closed: {} clients, messages of {} bytes ({machine})", args.clients, args.size);
    print_head();
    let subjects = subjects(args);
    for number in 1..=args.rounds {
        for &subject in &subjects {
            let round = measure_one(args, number, subject)?;
            print_round(&round);
            rounds.push(round);
        }
    }
    stage::warn_of_others(rounds.iter().map(|round| round.others_percent));
    let gateways = args.common.gateway.iter().filter(|_| args.only.is_none());
    let ratios: Vec<Ratios> = gateways.map(|program| ratios(&rounds, stage::name(program))).collect();
    print_medians(&rounds, &subjects, &ratios);
    let (clients, size, seconds) = (args.clients, args.size, args.seconds.as_secs_f64());
    let report = Report { scenario: "closed", machine, clients, size, seconds, rounds, ratios };
    report::write_json(args.common.json.as_deref(), &report)?;
    for Ratios { gateway, cpu, .. } in &report.ratios {
        let (ratio, most) = (cpu.median, args.assert_ratio.unwrap_or(f64::INFINITY));
        ensure!(ratio <= most, "a message costs {gateway} {ratio:.2} times the relay's processor time: over {most}");
    }
    Ok(())
}

fn subjects(args: &Closed) -> Vec<Subject<'_>> {
    let relay = [Subject::Relay].into_iter().filter(|_| args.only != Some(Which::Gateway));
    let gateways = args.common.gateway.iter().filter(|_| args.only != Some(Which::Relay));
    relay.chain(gateways.map(|program| Subject::Gateway(program))).collect()
}

fn measure_one(args: &Closed, number: usize, subject: Subject<'_>) -> Result<Round> {
    let api = server::start_api(args.common.api_threads)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let server = match subject {
        Subject::Relay => server::start_relay(api.address, args.relay_threads.unwrap_or(cores))?,
        Subject::Gateway(program) => stage::start_gateway(program, &args.common, &api)?,
    };
    let round = measure(args, number, subject, &server, &api)
        .with_context(|| format!("round {number}, {}{}", subject.name(), server.last_words()))?;
    if let Subject::Gateway(_) = subject {
        stage::await_disconnects(&api, args.clients as u64)?;
        server.stop()?;
    }
    Ok(round)
}

fn measure(args: &Closed, number: usize, subject: Subject<'_>, server: &Server, api: &Server) -> Result<Round> {
    let target = match subject {
        Subject::Gateway(_) => stage::web_socket(server, args.size),
        Subject::Relay => Target { address: server.address, wire: Wire::Relay, size: args.size },
    };
    let mut team = Team::new(target, args.common.threads)?;
    team.connect(args.clients, args.common.at_once, false)?;
    let from = Instant::now() + args.warm_up;
    let until = from + args.seconds;
    let progress = std::sync::Arc::clone(&team.progress);
    let (latencies, between) = team.run(
        |swarm, _| swarm.closed_loop(Window { from, until: until + MARGIN }),
        |watch| {
            watch.sleep_until(from, || {})?;
            let before = Look::at(&progress.answered, server, api)?;
            watch.sleep_until(until, || {})?;
            Ok(Look::at(&progress.answered, server, api)?.since(&before))
        },
    )?;
    team.close(args.common.at_once)?;
    ensure!(between.done > 0, "not one message was answered");
    Ok(Round {
        round: number,
        target: subject.name(),
        messages: between.done,
        messages_per_second: between.per_second(),
        latency: Latency::of(&team::merge(latencies)?),
        cpu_us: between.cpu_us(&between.target),
        api_cpu_us: between.cpu_us(&between.api),
        load_cpu_us: between.cpu_us(&between.load),
        cpu_relative: between.target.cpu.as_secs_f64() / (between.api.cpu + between.load.cpu).as_secs_f64(),
        sleeps: between.target.voluntary as f64 / between.done as f64,
        others_percent: between.others_percent(),
    })
}

fn ratios(rounds: &[Round], gateway: String) -> Ratios {
    let ratio = |value: fn(&Round) -> f64| {
        let pairs = of(rounds, &gateway).zip(of(rounds, RELAY));
        Spread::of(pairs.map(|(gateway, relay)| value(gateway) / value(relay)))
    };
    Ratios {
        cpu: ratio(|round| round.cpu_us),
        messages_per_second: ratio(|round| round.messages_per_second),
        p50: ratio(|round| round.latency.p50_us),
        p99: ratio(|round| round.latency.p99_us),
        gateway,
    }
}

fn of<'a>(rounds: &'a [Round], target: &'a str) -> impl Iterator<Item = &'a Round> {
    rounds.iter().filter(move |round| round.target == target)
}

fn print_head() {
    println!(
        "{:<8}{:<15}{:>10}{:>9}{:>9}{:>9}{:>12}{:>8}{:>8}{:>10}{:>8}{:>8}",
        "round", "", "messages", "p50", "p99", "max", "CPU of it", "API", "load", "relative", "sleeps", "others"
    );
    println!(
        "{:<8}{:<15}{:>10}{:>9}{:>9}{:>9}{:>12}{:>8}{:>8}{:>10}{:>8}{:>8}",
        "", "", "per s", "ms", "ms", "ms", "us/message", "us", "us", "", "/message", "%"
    );
}

fn print_line(name: &str, target: &str, value: impl Fn(fn(&Round) -> f64) -> f64) {
    println!(
        "{name:<8}{target:<15}{:>10.0}{:>9.2}{:>9.2}{:>9.2}{:>12.2}{:>8.2}{:>8.2}{:>10.3}{:>8.3}{:>8.0}",
        value(|round| round.messages_per_second),
        value(|round| round.latency.p50_us) / 1e3,
        value(|round| round.latency.p99_us) / 1e3,
        value(|round| round.latency.max_us) / 1e3,
        value(|round| round.cpu_us),
        value(|round| round.api_cpu_us),
        value(|round| round.load_cpu_us),
        value(|round| round.cpu_relative),
        value(|round| round.sleeps),
        value(|round| round.others_percent),
    );
}

fn print_round(round: &Round) {
    print_line(&round.round.to_string(), &round.target, |value| value(round));
}

fn print_medians(rounds: &[Round], subjects: &[Subject<'_>], ratios: &[Ratios]) {
    for subject in subjects {
        let name = subject.name();
        print_line("median", &name, |value| Spread::of(of(rounds, &name).map(value)).median);
    }
    let line = |name: &str, spread: Spread| {
        println!("  {name:<22}{:>6.2}  ({:.2} .. {:.2})", spread.median, spread.min, spread.max);
    };
    for Ratios { gateway, cpu, messages_per_second, p50, p99 } in ratios {
        println!("{gateway} / relay, median of the rounds (least .. most):");
        line("CPU per message", *cpu);
        line("messages per second", *messages_per_second);
        line("latency p50", *p50);
        line("latency p99", *p99);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(target: &str, cpu_us: f64) -> Round {
        let latency = Latency { p50_us: 1.0, p90_us: 1.0, p99_us: 1.0, max_us: 1.0 };
        Round {
            round: 1,
            target: target.to_owned(),
            messages: 1,
            messages_per_second: 1.0,
            latency,
            cpu_us,
            api_cpu_us: 1.0,
            load_cpu_us: 1.0,
            cpu_relative: 1.0,
            sleeps: 0.0,
            others_percent: 0.0,
        }
    }

    #[test]
    fn a_ratio_compares_two_of_one_round() {
        let rounds = [(10.0, 20.0, 10.0), (20.0, 30.0, 20.0), (10.0, 30.0, 10.0)];
        let all = |(relay, one, other)| [round(RELAY, relay), round("one", one), round("other", other)];
        let rounds: Vec<Round> = rounds.into_iter().flat_map(all).collect();
        assert_eq!(ratios(&rounds, "one".to_owned()).cpu, Spread { median: 2.0, min: 1.5, max: 3.0 });
        assert_eq!(ratios(&rounds, "other".to_owned()).cpu, Spread { median: 1.0, min: 1.0, max: 1.0 });
    }
}
