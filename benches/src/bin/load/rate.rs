//! `load rate`: a fixed rate of messages, whether the answers are in time or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::args::{Only, Rate};
use crate::report;
use crate::rounds::{Contest, MARGIN, Measured, Outcome, Subject};
use crate::stage;
use crate::swarm::{Pace, Window};
use crate::team::Team;
use crate::usage::Memory;

/// Clients of the closed loop that finds the maximum, and how long it runs.
const MAXIMUM_CLIENTS: usize = 1000;
const MAXIMUM_TIME: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    clients: usize,
    every_seconds: f64,
    /// Messages per second of the gateway's maximum, if it was looked for.
    maximum: Option<f64>,
    size: usize,
    seconds: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or one of the `--assert` flags does not hold.
pub(crate) fn run(args: &Rate) -> Result<()> {
    stage::check_descriptors(args.clients.max(MAXIMUM_CLIENTS))?;
    let contest = Contest { common: &args.common, compare: &args.compare, size: args.size, unit: "message" };
    let maximum = args.of_maximum.map(|_| maximum(args, &contest)).transpose()?;
    let every = match (args.of_maximum, maximum) {
        (Some(share), Some(maximum)) => Duration::from_secs_f64(args.clients as f64 / (share * maximum)),
        _ => args.every,
    };
    println!(
        "rate: {} clients, a message of {} bytes every {:.3} s of each: {:.0} per second ({})",
        args.clients,
        args.size,
        every.as_secs_f64(),
        args.clients as f64 / every.as_secs_f64(),
        report::Machine::here()
    );
    let outcome = contest.run(|subject| measure(args, every, subject))?;
    let report = Report {
        scenario: "rate",
        clients: args.clients,
        every_seconds: every.as_secs_f64(),
        maximum,
        size: args.size,
        seconds: args.compare.seconds.as_secs_f64(),
        outcome,
    };
    report::write_json(args.common.json.as_deref(), &report)?;
    check(args, &report.outcome)
}

/// Messages per second that a closed loop gets through the slowest of the gateways.
fn maximum(args: &Rate, contest: &Contest<'_>) -> Result<f64> {
    ensure!(args.compare.only != Some(Only::Relay), "--of-maximum is of the gateway's maximum");
    let mut least = f64::INFINITY;
    for file in &args.compare.gateway {
        let subject = contest.start("the gateway".to_owned(), Some(file))?;
        let mut team = Team::new(subject.target, args.common.threads)?;
        team.connect(MAXIMUM_CLIENTS, args.common.at_once, false)?;
        let from = Instant::now() + args.compare.warm_up;
        let window = Window { from, until: from + MAXIMUM_TIME };
        let progress = Arc::clone(&team.progress);
        let (_, (between, _)) = team.run(
            |swarm, _| swarm.closed_loop(window, window.until + MARGIN),
            |watch| subject.watched(&progress.answered, false).within(watch, window, || Ok(())),
        )?;
        team.close(args.common.at_once)?;
        println!("maximum of {}: {:.0} messages per second", file.display(), between.per_second());
        least = least.min(between.per_second());
    }
    Ok(least)
}

fn measure(args: &Rate, every: Duration, subject: &Subject) -> Result<Measured> {
    let fresh = Memory::of(subject.server.pid())?;
    let mut team = Team::new(subject.target, args.common.threads)?;
    team.connect(args.clients, args.common.at_once, false)?;
    let start = Instant::now();
    // Everyone has sent a message before it counts: what a client costs once it was active counts too.
    let from = start + args.compare.warm_up.max(every);
    let window = Window { from, until: from + args.compare.seconds };
    let count = args.compare.syscalls;
    let end = window.until + MARGIN + stage::counting_time(count);
    let progress = Arc::clone(&team.progress);
    let mut most = 0;
    let (latencies, (between, syscalls)) = team.run(
        |swarm, part| swarm.paced(Pace { start, every, clients: part.share(args.clients) }, window, end),
        |watch| {
            subject.watched(&progress.answered, count).within(watch, window, || {
                most = most.max(Memory::of(subject.server.pid())?.resident);
                Ok(())
            })
        },
    )?;
    team.close(args.common.at_once)?;
    stage::await_disconnects(&subject.api, args.clients as u64)?;
    let bytes_per_client = Some((most as f64 - fresh.resident as f64) / args.clients as f64);
    Ok(Measured { between, latencies, syscalls, bytes_per_client })
}

fn check(args: &Rate, outcome: &Outcome) -> Result<()> {
    outcome.check_ratio(&args.compare)?;
    if let Some(most) = args.assert_bytes {
        for round in outcome.rounds.iter().filter(|round| !round.is_relay()) {
            let (name, bytes) = (&round.subject, round.bytes_per_client.unwrap_or(f64::INFINITY));
            ensure!(bytes <= most as f64, "a client takes {bytes:.0} bytes of {name}: more than {most}");
        }
    }
    for ratios in &outcome.ratios {
        let at_most = |what, added: f64, most: Option<f64>| {
            let most = most.unwrap_or(f64::INFINITY);
            ensure!(added <= most, "{} adds {added:.3} ms to the {what} of the latency: over {most}", ratios.gateway);
            Ok(())
        };
        at_most("median", ratios.added_p50_ms.median, args.assert_added_p50)?;
        at_most("99th percentile", ratios.added_p99_ms.median, args.assert_added_p99)?;
    }
    Ok(())
}
