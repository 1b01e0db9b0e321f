//! The scale run: very many clients, ordinary traffic, nothing may be lost.

mod api;
mod chart;
mod clients;
mod ledger;
mod message;
mod picture;
mod record;
mod run;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use ledger::Totals;

use super::process;
use super::settings::Settings;
use crate::scenario::{Options, Outcome};

/// What the scale run is to do.
#[derive(Clone, Debug)]
struct Scale {
    /// Clients at the end of the ramp.
    connections: u32,
    /// In how long they come.
    ramp: Duration,
    /// For how long they stay then.
    hold: Duration,
    /// In how long they leave.
    leave: Duration,
    /// How often each of them sends a message.
    every: Duration,
    /// Pushes to random clients, in a second.
    pushes: u32,
    /// Shards of the gateway.
    shards: u16,
    /// What everything random comes from.
    seed: u64,
    /// The most memory and processor time that it may take, in GiB and seconds.
    most_gib: f64,
    most_cpu: f64,
}

impl Scale {
    fn read(options: &Options) -> Result<Scale, String> {
        let mut settings = Settings::new(options);
        let connections = settings.number("connections", 250_000)?;
        let mut seconds = |name, usual| Ok::<_, String>(Duration::from_secs(settings.number(name, usual)?));
        let scale = Scale {
            connections,
            ramp: seconds("ramp", 60)?,
            hold: seconds("hold", 60)?,
            leave: seconds("leave", 20)?,
            every: seconds("every", 10)?.max(Duration::from_secs(1)),
            pushes: settings.number("pushes", connections / 100)?,
            shards: settings.number("shards", 4)?,
            seed: options.seed,
            most_gib: settings.number("most-gib", f64::INFINITY)?,
            most_cpu: settings.number("most-cpu", f64::INFINITY)?,
        };
        settings.done(&["picture"])?;
        Ok(scale)
    }

    fn millis(duration: Duration) -> u32 {
        u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
    }
}

/// The scenario.
pub(super) fn scenario(options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = run_and_draw(options, &mut outcome) {
        outcome.error = Some(error);
    }
    outcome
}

fn run_and_draw(options: &Options, outcome: &mut Outcome) -> Result<(), String> {
    let scale = Scale::read(options)?;
    outcome.drawn = format!("{scale:?}");
    let started = Instant::now();
    let report = run::run(&scale, |second| eprintln!("{}", second.line()))?;
    let (gib, cpu) = (gibibytes(process::resident().1), process::cpu().as_secs_f64());
    eprintln!(
        "{} simulated seconds in {:.0} s, {cpu:.0} s of them on a processor, at most {gib:.2} GiB resident",
        report.seconds.len(),
        started.elapsed().as_secs_f64(),
    );
    if gib > scale.most_gib || cpu > scale.most_cpu {
        return Err(format!("it took {gib:.2} GiB and {cpu:.0} s of a processor, which is more than was allowed"));
    }
    if let Some(path) = options.set.get("picture") {
        let drawing = picture::draw(&scale, &report.seconds);
        fs::write(path, drawing).map_err(|error| format!("cannot write {path}: {error}"))?;
    }
    outcome.counts = counts(&report.totals, report.lanes);
    outcome.events = report.totals.sent + report.totals.echoed + report.totals.pushed + report.totals.deletes;
    outcome.trace = format!("digest {:016x}\n", report.trace);
    Ok(())
}

fn counts(totals: &Totals, lanes: u64) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("connections opened", totals.opened),
        ("connections closed in order", totals.left),
        ("DELETEs", totals.deletes),
        ("messages sent", totals.sent),
        ("messages answered", totals.echoed),
        ("pushes answered 200", totals.pushed),
        ("pushes received", totals.pushes_received),
        ("pushes to nobody", totals.pushes_astray),
        ("connections to the API", lanes),
    ])
}

fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
