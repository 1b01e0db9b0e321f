//! The command line.

mod commit;
mod many;
mod report;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use ws2http_sim::scenario::{self, Options, Scenario};

/// Simulated worlds around the ws2http gateway, judged by its wire contract.
///
/// One seed is one world, and a world always goes the same way: what fails once can be replayed.
/// There are two tiers. In the first, discrete events go around the gateway's core alone, some
/// hundred worlds a second. In the second, the real tokio driver runs in a simulated network.
#[derive(Debug, Parser)]
#[command(
    name = "ws2http-sim",
    version,
    after_help = "EXAMPLES:
    ws2http-sim list
    ws2http-sim many --seconds 60
    ws2http-sim run shards --seed 42 --trace trace.txt
    ws2http-sim run shards --seed 42 --set clients=2 --set off=push,kick"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the scenarios there are.
    List,
    /// Run one scenario once; this is how a failure is replayed.
    Run(Run),
    /// Run many seeds of one scenario on several cores, and count what happened.
    Many(many::Many),
}

#[derive(Debug, Args)]
struct Run {
    /// The scenario's name; `list` prints them.
    name: String,
    /// What everything is drawn from: a number, or a commit hash.
    #[arg(long, default_value = "0", value_parser = commit::seed)]
    seed: u64,
    /// Write all that happened, in order, to this file; - is the standard output.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Change something that was drawn, for instance clients=2, faults-ms=500, off=push,kick, on=drain.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Do not look for a smaller world that fails the same way.
    #[arg(long)]
    no_shrink: bool,
}

/// `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Several values for one name make a list.
fn settings(set: &[(String, String)]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::<String, String>::new();
    for (name, value) in set {
        all.entry(name.clone()).and_modify(|list| *list = format!("{list},{value}")).or_insert_with(|| value.clone());
    }
    all
}

fn named(name: &str) -> anyhow::Result<&'static Scenario> {
    let Some(scenario) = scenario::named(name) else {
        let names: Vec<&str> = scenario::all().map(|scenario| scenario.name).collect();
        bail!("there is no scenario {name:?}; there are: {}", names.join(", "));
    };
    Ok(scenario)
}

/// Runs the command line: 0 if nothing failed, 1 if a world did or the command could not be carried out.
pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::List => list(),
        Command::Run(run) => run_once(&run),
        Command::Many(many) => many.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ws2http-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> anyhow::Result<bool> {
    for Scenario { name, tier, about, .. } in scenario::all() {
        // A closed pipe ends the list.
        if writeln!(std::io::stdout(), "{name:24} tier {tier:10} {about}", tier = tier.to_string()).is_err() {
            break;
        }
    }
    Ok(true)
}

fn run_once(run: &Run) -> anyhow::Result<bool> {
    let scenario = named(&run.name)?;
    let options = Options { seed: run.seed, trace: run.trace.is_some(), set: settings(&run.set) };
    let started = Instant::now();
    let outcome = (scenario.run)(&options);
    if let Some(path) = &run.trace {
        write_trace(path, &outcome.trace)?;
    }
    if outcome.passed() {
        let Options { seed, .. } = options;
        eprintln!("{} passed with seed {seed}: {} events in {:.2?}", run.name, outcome.events, started.elapsed());
        eprint!("{}", report::counts(&outcome.counts));
    } else {
        eprint!("{}", report::failure(scenario, &options, &outcome, !run.no_shrink));
    }
    Ok(outcome.passed())
}

fn write_trace(path: &Path, trace: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return std::io::stdout().write_all(trace.as_bytes()).context("cannot write the trace");
    }
    std::fs::write(path, trace).with_context(|| format!("cannot write the trace to {}", path.display()))
}
