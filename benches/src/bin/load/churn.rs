//! `load churn`: what it costs to let a client in and out again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::Churn;
use crate::latency::Latency;
use crate::report::{self, Machine, Spread};
use crate::server::{self, Server};
use crate::stage::{self, Look};
use crate::swarm::Window;
use crate::team::{self, Team};

/// The clients go on for so long after the last look, so that it finds all at work.
const MARGIN: Duration = Duration::from_millis(300);

/// What one round measured.
#[derive(Debug, Serialize)]
struct Round {
    round: usize,
    gateway: String,
    connects: u64,
    connects_per_second: f64,
    /// From the first SYN to the 101.
    connect: Latency,
    /// Processor time per connect and close, in microseconds.
    cpu_us: f64,
    api_cpu_us: f64,
    load_cpu_us: f64,
    /// What other processes took of the machine meanwhile.
    others_percent: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    machine: Machine,
    at_once: usize,
    seconds: f64,
    rounds: Vec<Round>,
    medians: Vec<Median>,
}

/// All rounds of one gateway.
#[derive(Debug, Serialize)]
struct Median {
    gateway: String,
    connects_per_second: Spread,
    cpu_us: Spread,
}

/// Runs the scenario.
pub(crate) fn run(args: &Churn) -> Result<()> {
    stage::check_descriptors(args.common.at_once)?;
    stage::check_names(&args.common)?;
    let (machine, at_once) = (Machine::here(), args.common.at_once);
    println!("churn: {at_once} connects or closes under way ({machine})");
    println!(
        "{:<8}{:<15}{:>10}{:>9}{:>9}{:>9}{:>12}{:>8}{:>8}{:>8}",
        "round", "", "connects", "p50", "p99", "max", "CPU of it", "API", "load", "others"
    );
    println!(
        "{:<8}{:<15}{:>10}{:>9}{:>9}{:>9}{:>12}{:>8}{:>8}{:>8}",
        "", "", "per s", "ms", "ms", "ms", "us/connect", "us", "us", "%"
    );
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        for program in &args.common.gateway {
            let api = server::start_api(args.common.api_threads)?;
            let gateway = stage::start_gateway(program, &args.common, &api)?;
            let round = measure(args, number, stage::name(program), &gateway, &api)
                .with_context(|| format!("round {number}{}", gateway.last_words()))?;
            gateway.stop()?;
            print_round(&round);
            rounds.push(round);
        }
    }
    stage::warn_of_others(rounds.iter().map(|round| round.others_percent));
    let medians: Vec<Median> =
        args.common.gateway.iter().map(|program| median(&rounds, stage::name(program))).collect();
    for Median { gateway, connects_per_second, cpu_us } in &medians {
        println!("median  {gateway:<15}{:>10.0}{:>39.2}", connects_per_second.median, cpu_us.median);
    }
    let seconds = args.seconds.as_secs_f64();
    let report = Report { scenario: "churn", machine, at_once, seconds, rounds, medians };
    report::write_json(args.common.json.as_deref(), &report)
}

fn median(rounds: &[Round], gateway: String) -> Median {
    let of = |value: fn(&Round) -> f64| Spread::of(rounds.iter().filter(|round| round.gateway == gateway).map(value));
    let (connects_per_second, cpu_us) = (of(|round| round.connects_per_second), of(|round| round.cpu_us));
    Median { gateway, connects_per_second, cpu_us }
}

fn measure(args: &Churn, number: usize, name: String, gateway: &Server, api: &Server) -> Result<Round> {
    let mut team = Team::new(stage::web_socket(gateway, 64), args.common.threads)?;
    let from = Instant::now() + Duration::from_millis(500);
    let until = from + args.seconds;
    let progress = std::sync::Arc::clone(&team.progress);
    let opened = &progress.opened;
    let (took, between) = team.run(
        |swarm, part| {
            let at_once = part.share(args.common.at_once).max(1);
            swarm.churn(at_once, Window { from, until: until + MARGIN })
        },
        |watch| {
            watch.sleep_until(from, || {})?;
            let before = Look::at(opened, gateway, api)?;
            watch.sleep_until(until, || {})?;
            Ok(Look::at(opened, gateway, api)?.since(&before))
        },
    )?;
    ensure!(between.done > 0, "not one client was let in");
    stage::await_disconnects(api, opened.load(std::sync::atomic::Ordering::Relaxed))?;
    Ok(Round {
        round: number,
        gateway: name,
        connects: between.done,
        connects_per_second: between.per_second(),
        connect: Latency::of(&team::merge(took)?),
        cpu_us: between.cpu_us(&between.target),
        api_cpu_us: between.cpu_us(&between.api),
        load_cpu_us: between.cpu_us(&between.load),
        others_percent: between.others_percent(),
    })
}

fn print_round(round: &Round) {
    println!(
        "{:<8}{:<15}{:>10.0}{:>9.2}{:>9.2}{:>9.2}{:>12.2}{:>8.2}{:>8.2}{:>8.0}",
        round.round,
        round.gateway,
        round.connects_per_second,
        round.connect.p50_us / 1e3,
        round.connect.p99_us / 1e3,
        round.connect.max_us / 1e3,
        round.cpu_us,
        round.api_cpu_us,
        round.load_cpu_us,
        round.others_percent
    );
}
