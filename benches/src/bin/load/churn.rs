//! `load churn`: what it costs to let a client in and out again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::args::Churn;
use crate::report;
use crate::rounds::{Contest, MARGIN, Measured, Outcome, Subject};
use crate::stage;
use crate::swarm::Window;
use crate::team::Team;

#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    at_once: usize,
    seconds: f64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Runs the scenario.
///
/// # Errors
/// Something went wrong, or a gateway takes more than `--assert-ratio`.
pub(crate) fn run(args: &Churn) -> Result<()> {
    let at_once = args.common.at_once;
    stage::check_descriptors(at_once)?;
    println!("churn: {at_once} connects or closes under way ({})", report::Machine::here());
    let contest = Contest { common: &args.common, compare: &args.compare, size: 64, unit: "connect" };
    let outcome = contest.run(|subject| measure(args, subject))?;
    let report = Report { scenario: "churn", at_once, seconds: args.compare.seconds.as_secs_f64(), outcome };
    report::write_json(args.common.json.as_deref(), &report)?;
    report.outcome.check_ratio(&args.compare)
}

fn measure(args: &Churn, subject: &Subject) -> Result<Measured> {
    let mut team = Team::new(subject.target, args.common.threads)?;
    let from = Instant::now() + args.compare.warm_up;
    let window = Window { from, until: from + args.compare.seconds };
    let count = args.compare.syscalls;
    let end = window.until + MARGIN + stage::counting_time(count);
    let progress = Arc::clone(&team.progress);
    let (latencies, (between, syscalls)) = team.run(
        |swarm, part| swarm.churn(part.share(args.common.at_once).max(1), window, end),
        |watch| subject.watched(&progress.opened, count).within(watch, window, || Ok(())),
    )?;
    stage::await_disconnects(&subject.api, progress.opened.load(Ordering::Relaxed))?;
    Ok(Measured { between, latencies, syscalls, bytes_per_client: None })
}
