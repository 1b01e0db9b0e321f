//! `load closed`: what a message costs, in the gateway and in the bare relay.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::args::Closed;
use crate::report;
use crate::rounds::{Contest, MARGIN, Measured, Outcome, Subject};
use crate::stage;
use crate::swarm::Window;
use crate::team::Team;

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    clients: usize,
    size: usize,
    seconds: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or a gateway takes more than `--assert-ratio`.
pub(crate) fn run(args: &Closed) -> Result<()> {
    stage::check_descriptors(args.clients)?;
    println!("closed: {} clients, messages of {} bytes ({})", args.clients, args.size, report::Machine::here());
    let contest = Contest { common: &args.common, compare: &args.compare, size: args.size, unit: "message" };
    let outcome = contest.run(|subject| measure(args, subject))?;
    let (clients, size, seconds) = (args.clients, args.size, args.compare.seconds.as_secs_f64());
    let report = Report { scenario: "closed", clients, size, seconds, outcome };
    report::write_json(args.common.json.as_deref(), &report)?;
    report.outcome.check_ratio(&args.compare)
}

fn measure(args: &Closed, subject: &Subject) -> Result<Measured> {
    let mut team = Team::new(subject.target, args.common.threads)?;
    team.connect(args.clients, args.common.at_once, false)?;
    let from = Instant::now() + args.compare.warm_up;
    let window = Window { from, until: from + args.compare.seconds };
    let count = args.compare.syscalls;
    let end = window.until + MARGIN + stage::counting_time(count);
    let progress = Arc::clone(&team.progress);
    let (latencies, (between, syscalls)) = team.run(
        |swarm, _| swarm.closed_loop(window, end),
        |watch| subject.watched(&progress.answered, count).within(watch, window, || Ok(())),
    )?;
    team.close(args.common.at_once)?;
    stage::await_disconnects(&subject.api, args.clients as u64)?;
    Ok(Measured { between, latencies, syscalls, bytes_per_client: None })
}
