//! What is printed about a run.

use std::collections::BTreeMap;
use std::fmt::Write;

use ws2http_sim::scenario::{Options, Outcome, Scenario, Tier};
use ws2http_sim::shards;

use super::commit;

/// The one command that replays a run.
fn replay(scenario: &Scenario, options: &Options) -> String {
    // As this program was built: deliberate bugs are not in every one.
    let built = if cfg!(feature = "canaries") { " --no-default-features --features canaries" } else { "" };
    let Options { seed, .. } = options;
    let mut line = format!("cargo run --release -p ws2http-sim{built} -- run {} --seed {seed}", scenario.name);
    for (name, value) in &options.set {
        let _ = write!(line, " --set {name}={value}");
    }
    line
}

/// Everything that is needed to understand a failure and to see it again.
pub(super) fn failure(scenario: &Scenario, options: &Options, outcome: &Outcome, shrink: bool) -> String {
    let mut text = String::new();
    let commit = commit::current().unwrap_or_else(|| "unknown".to_owned());
    let (name, tier, seed) = (scenario.name, scenario.tier, options.seed);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "FAILED: {name}, tier {tier}, seed {seed}, commit {commit}");
    for violation in &outcome.violations {
        let _ = writeln!(text, "  {violation}");
    }
    if let Some(error) = &outcome.error {
        let _ = writeln!(text, "  {error}");
    }
    for line in outcome.drawn.lines() {
        let _ = writeln!(text, "  | {line}");
    }
    let _ = writeln!(text, "replay: {}", replay(scenario, options));
    if shrink && scenario.tier == Tier::Shards {
        let small = shards::shrink(options, outcome);
        if small.set != options.set {
            let _ = writeln!(text, "smaller: {}", replay(scenario, &small));
        }
    }
    text
}

/// A table of what happened how often.
pub(super) fn counts(counts: &BTreeMap<&'static str, u64>) -> String {
    let mut text = String::new();
    for row in counts.iter().collect::<Vec<_>>().chunks(3) {
        for (name, count) in row {
            let _ = write!(text, "  {name:32} {count:>10}");
        }
        text.push('\n');
    }
    text
}
