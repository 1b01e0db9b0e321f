//! `load push`: what a push costs, and how long it takes to be heard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::Push;
use crate::latency::Latency;
use crate::report::{self, Machine, Spread};
use crate::rounds::MARGIN;
use crate::server::{self, Server};
use crate::stage::{self, Watched};
use crate::swarm::{Pushes, Window};
use crate::team::{self, Team};

/// What one round measured.
#[derive(Debug, Serialize)]
struct Round {
    round: usize,
    pushes: u64,
    pushes_per_second: f64,
    /// From the request, or from when it was due, to the gateway's `ok`.
    answered: Latency,
    /// From the same to the client's reading it.
    heard: Latency,
    /// Processor time per push, in microseconds: of the gateway, and of clients and pushers together.
    cpu_us: f64,
    load_cpu_us: f64,
    /// How often a thread of the gateway went to sleep, per push.
    sleeps: f64,
    /// System calls of the gateway per push, if they were counted.
    syscalls: Option<f64>,
    /// What other processes took of the machine meanwhile.
    others_percent: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    machine: Machine,
    clients: usize,
    connections: usize,
    size: usize,
    per_second: Option<usize>,
    seconds: f64,
    rounds: Vec<Round>,
    cpu_us: Spread,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or a push takes more than `--assert-cpu`.
pub(crate) fn run(args: &Push) -> Result<()> {
    stage::check_descriptors(args.clients + args.connections)?;
    let machine = Machine::here();
    println!(
        "push: {} clients, {} control connections, pushes of {} bytes ({machine})",
        args.clients, args.connections, args.size
    );
    print_head();
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let api = server::start_api(args.common.api_threads)?;
        let gateway = stage::start_gateway_with(&args.gateway, &args.common, &api, &["--control-listen=127.0.0.1:0"])?;
        let round =
            measure(args, number, &gateway, &api).with_context(|| format!("round {number}{}", gateway.last_words()))?;
        gateway.stop()?;
        print_round(&round);
        rounds.push(round);
    }
    stage::warn_of_others(rounds.iter().map(|round| round.others_percent));
    let cpu_us = Spread::of(rounds.iter().map(|round| round.cpu_us));
    println!("CPU of the gateway per push, us: median {:.2} ({:.2} .. {:.2})", cpu_us.median, cpu_us.min, cpu_us.max);
    let report = Report {
        scenario: "push",
        machine,
        clients: args.clients,
        connections: args.connections,
        size: args.size,
        per_second: args.per_second,
        seconds: args.seconds.as_secs_f64(),
        rounds,
        cpu_us,
    };
    report::write_json(args.common.json.as_deref(), &report)?;
    let most = args.assert_cpu.unwrap_or(f64::INFINITY);
    ensure!(cpu_us.median <= most, "a push takes {:.2} us of the gateway's processor time: over {most}", cpu_us.median);
    Ok(())
}

fn measure(args: &Push, number: usize, gateway: &Server, api: &Server) -> Result<Round> {
    let mut team = Team::new(stage::web_socket(gateway, args.size), args.common.threads)?;
    team.connect(args.clients, args.common.at_once, false)?;
    let start = Instant::now();
    let from = start + args.warm_up;
    let window = Window { from, until: from + args.seconds };
    let end = window.until + MARGIN + stage::counting_time(args.syscalls);
    let every = args.per_second.map(|number| Duration::from_secs(args.common.threads as u64) / number as u32);
    let control = gateway.control.context("the gateway did not say where its control side listens")?;
    let progress = Arc::clone(&team.progress);
    let (latencies, (between, syscalls)) = team.run(
        |swarm, part| {
            let pushes = Pushes { control, connections: part.share(args.connections).max(1), every, start };
            swarm.push(pushes, window, end)
        },
        |watch| {
            let watched = Watched { target: gateway, api, done: &progress.heard, syscalls: args.syscalls };
            watched.within(watch, window, || Ok(()))
        },
    )?;
    team.close(args.common.at_once)?;
    let counts = stage::await_disconnects(api, args.clients as u64)?;
    ensure!(counts.messages == 0, "the API got {} messages: nobody sent one", counts.messages);
    ensure!(between.done > 0 && progress.heard.load(Ordering::Relaxed) >= between.done, "nothing was heard");
    let (answered, heard): (Vec<_>, Vec<_>) = latencies.into_iter().map(|both| (both.answered, both.heard)).unzip();
    Ok(Round {
        round: number,
        pushes: between.done,
        pushes_per_second: between.per_second(),
        answered: Latency::of(&team::merge(&answered)?),
        heard: Latency::of(&team::merge(&heard)?),
        cpu_us: between.cpu_us(&between.target),
        load_cpu_us: between.cpu_us(&between.load),
        sleeps: between.target.voluntary as f64 / between.done as f64,
        syscalls,
        others_percent: between.others_percent(),
    })
}

fn print_head() {
    println!(
        "{:<8}{:>10}{:>20}{:>24}{:>11}{:>8}{:>8}{:>10}{:>8}",
        "round", "pushes", "answered, ms", "heard, ms", "CPU of it", "load", "sleeps", "syscalls", "others"
    );
    println!(
        "{:<8}{:>10}{:>10}{:>10}{:>8}{:>8}{:>8}{:>11}{:>8}{:>8}{:>10}{:>8}",
        "", "per s", "p50", "p99", "p50", "p99", "max", "us/push", "us", "each", "each", "%"
    );
}

fn print_round(round: &Round) {
    let syscalls = round.syscalls.map_or("-".to_owned(), |number| format!("{number:.2}"));
    println!(
        "{:<8}{:>10.0}{:>10.2}{:>10.2}{:>8.2}{:>8.2}{:>8.2}{:>11.2}{:>8.2}{:>8.3}{syscalls:>10}{:>8.0}",
        round.round,
        round.pushes_per_second,
        round.answered.p50_us / 1e3,
        round.answered.p99_us / 1e3,
        round.heard.p50_us / 1e3,
        round.heard.p99_us / 1e3,
        round.heard.max_us / 1e3,
        round.cpu_us,
        round.load_cpu_us,
        round.sleeps,
        round.others_percent
    );
}
