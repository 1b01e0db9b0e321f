//! Many seeds on several cores.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Args;
use ws2http_sim::model::Law;
use ws2http_sim::scenario::{Options, Outcome, Scenario};

use super::{commit, named, report, settings};

#[derive(Debug, Args)]
pub(super) struct Many {
    /// The scenario's name.
    #[arg(default_value = "shards")]
    name: String,
    /// Stop after so many seconds; 60 if nothing is said.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seconds: Option<u64>,
    /// Stop after so many seeds.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// How many worlds run at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// What the worlds' seeds are drawn from: a number, or a commit hash. If not given, the commit
    /// that is checked out: other worlds with every commit, and each can be replayed.
    #[arg(long, value_name = "SEED", value_parser = commit::seed)]
    base: Option<u64>,
    /// Stop after so many failures.
    #[arg(long, value_name = "N", default_value_t = 3)]
    failures: u64,
    /// Change something that was drawn, in every world.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::assignment)]
    set: Vec<(String, String)>,
}

/// What came of all worlds together.
#[derive(Debug, Default)]
struct Sum {
    worlds: u64,
    events: u64,
    failures: u64,
    counts: BTreeMap<&'static str, u64>,
    /// In how many worlds it happened at all.
    worlds_with: BTreeMap<&'static str, u64>,
    checks: BTreeMap<Law, u64>,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.worlds += 1;
        self.events += outcome.events;
        self.failures += u64::from(!outcome.passed());
        for (name, count) in &outcome.counts {
            *self.counts.entry(name).or_default() += count;
            *self.worlds_with.entry(name).or_default() += 1;
        }
        for (law, count) in &outcome.checks {
            *self.checks.entry(*law).or_default() += count;
        }
    }

    fn print(&self, took: Duration) {
        let Sum { worlds, events, failures, .. } = self;
        let minutes = took.as_secs_f64().max(0.001) / 60.0;
        println!("{:32} {:>14} {:>10}", "what happened", "times", "worlds");
        for (name, count) in &self.counts {
            println!("{name:32} {count:>14} {:>10}", self.worlds_with.get(name).copied().unwrap_or_default());
        }
        println!("\n{:32} {:>14}", "law", "checks");
        for (law, count) in &self.checks {
            println!("{:32} {count:>14}", format!("{law:?}"));
        }
        println!(
            "\n{worlds} worlds in {:.1} s ({:.0} a minute), {events} events, {failures} failed",
            took.as_secs_f64(),
            *worlds as f64 / minutes
        );
    }
}

/// The seed of one of the worlds. Neighbours would not do: what is drawn from them is too much alike,
/// and a run of them misses what rarely comes together.
fn seed(base: u64, number: u64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    fastrand::Rng::with_seed(base.wrapping_add(number.wrapping_mul(STEP))).u64(..)
}

impl Many {
    /// Runs them; whether none failed.
    pub(super) fn run(&self) -> anyhow::Result<bool> {
        let scenario = named(&self.name)?;
        let current =
            commit::current().and_then(|commit| commit::seed(commit.split(' ').next().unwrap_or_default()).ok());
        let base = self.base.or(current).unwrap_or_default();
        let seconds = self.seconds.or(self.seeds.is_none().then_some(60)).map(Duration::from_secs);
        eprintln!("{}: seeds drawn from {base}, {} at a time", scenario.name, self.jobs);
        let (started, next, stop) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
        let mut sum = Sum::default();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                let sender = sender.clone();
                let (next, stop) = (&next, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let over = self.seeds.is_some_and(|seeds| number >= seeds)
                            || seconds.is_some_and(|seconds| started.elapsed() >= seconds);
                        if over {
                            break;
                        }
                        let options = Options { seed: seed(base, number), trace: false, set: settings(&self.set) };
                        let outcome = (scenario.run)(&options);
                        if sender.send((options, outcome)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            self.collect(scenario, &receiver, &stop, started, &mut sum);
        });
        sum.print(started.elapsed());
        Ok(sum.failures == 0)
    }

    fn collect(
        &self,
        scenario: &Scenario,
        receiver: &mpsc::Receiver<(Options, Outcome)>,
        stop: &AtomicBool,
        started: Instant,
        sum: &mut Sum,
    ) {
        let terminal = std::io::stderr().is_terminal();
        let every = Duration::from_millis(if terminal { 500 } else { 10_000 });
        let mut told = started;
        loop {
            match receiver.recv_timeout(every) {
                Ok((options, outcome)) => {
                    sum.add(&outcome);
                    if !outcome.passed() {
                        eprintln!("\n{}", report::failure(scenario, &options, &outcome, true));
                        stop.store(sum.failures >= self.failures, Ordering::Relaxed);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if told.elapsed() >= every {
                told = Instant::now();
                self.progress(sum, started.elapsed(), terminal);
            }
        }
        if terminal {
            eprintln!();
        }
    }

    fn progress(&self, sum: &Sum, elapsed: Duration, terminal: bool) {
        let goal = match (self.seeds, self.seconds) {
            (Some(seeds), _) => format!(" of {seeds}"),
            (None, seconds) => format!(" in {} of {} s", elapsed.as_secs(), seconds.unwrap_or(60)),
        };
        let line = format!("{} worlds{goal}, {} failed", sum.worlds, sum.failures);
        let (start, end) = if terminal { ("\r", "\x1b[K") } else { ("", "\n") };
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(std::io::stderr(), "{start}{line}{end}");
    }
}
