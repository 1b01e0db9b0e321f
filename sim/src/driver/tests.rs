//! Each scenario once, in small; that one seed is one trace; and that what is wrong is noticed.

use std::process::Command;

use super::scenarios::{SCENARIOS, play_plan};
use super::world::{Plan, World};
use crate::scenario::{Options, Outcome};

/// Read by the process that [`one_seed_is_one_trace_in_another_process`] starts.
const CHILD: &str = "WS2HTTP_SIM_TRACE_OF_A_CHILD";

fn run(name: &str, seed: u64, set: &[(&str, &str)]) -> Outcome {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).expect("it is in the table");
    let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (scenario.run)(&Options { seed, trace: true, set })
}

fn passes(name: &str, set: &[(&str, &str)]) {
    let outcome = run(name, 1, set);
    let Outcome { error, violations, counts, .. } = &outcome;
    assert!(outcome.passed(), "{name}, seed 1, {set:?}: {error:?} {violations:#?} {counts:#?}");
}

macro_rules! small {
    ($($test:ident: $name:literal $(, $set:literal = $value:literal)*;)*) => {
        const TESTED: &[&str] = &[$($name),*];

        $(
            #[test]
            fn $test() {
                passes($name, &[$(($set, $value)),*]);
            }
        )*
    };
}

small! {
    scale: "scale", "connections" = "300", "ramp" = "3", "hold" = "3", "leave" = "2", "every" = "1", "pushes" = "100";
    calm: "calm", "clients" = "24";
    api_crash: "api-crash", "clients" = "24";
    api_partition: "api-partition", "clients" = "24";
    api_stall: "api-stall", "clients" = "24";
    api_slow: "api-slow", "clients" = "40";
    api_silent: "api-silent", "clients" = "24";
    api_late: "api-late", "clients" = "60";
    api_failing: "api-failing", "clients" = "24";
    api_down_drain: "api-down-drain", "clients" = "24";
    cut_challenge: "cut-challenge", "clients" = "24";
    cut_reject: "cut-reject", "clients" = "24";
    cut_replace: "cut-replace", "clients" = "24";
    storm: "storm", "clients" = "40";
    latency: "latency", "clients" = "24";
    slow_readers: "slow-readers", "clients" = "24";
    push_storm: "push-storm", "clients" = "24";
    busy_shard: "busy-shard", "clients" = "24";
    random_bytes: "random-bytes", "clients" = "40";
    balance_kill: "balance-kill", "clients" = "24";
    balance_replace: "balance-replace", "clients" = "24";
    balance_add: "balance-add", "clients" = "24";
    soak: "soak", "clients" = "20", "rounds" = "8";
}

#[test]
fn every_scenario_is_run() {
    let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names, TESTED);
}

/// With crashes, partitions, kills and random bytes: whatever could let an order slip.
fn trace(seed: u64) -> String {
    let outcome = run("soak", seed, &[("clients", "20"), ("rounds", "4")]);
    assert!(outcome.trace.lines().count() > 1000, "{:?}", outcome.error);
    outcome.trace
}

#[test]
fn one_seed_is_one_trace() {
    let first = trace(3);
    assert!(first == trace(3), "the same seed went another way");
    assert!(first != trace(4), "another seed went the same way");
}

#[test]
fn one_seed_is_one_trace_in_another_process() {
    if std::env::var_os(CHILD).is_some() {
        return print!("{}", trace(3));
    }
    let this = std::env::current_exe().expect("this program");
    let name = "driver::tests::one_seed_is_one_trace_in_another_process";
    let child = Command::new(this).args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().expect("it runs");
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(printed.contains(&trace(3)), "the same seed went another way in another process");
}

#[test]
fn a_message_that_gets_lost_is_noticed() {
    let mut plan = Plan::new(1, 20);
    plan.canary = true;
    let outcome = play_plan(&Options::default(), plan, |world| world.run(super::scenarios::secs(5)));
    let lost = outcome.violations.iter().filter(|violation| violation.text.contains("reached the API")).count();
    assert!(lost > 0, "{outcome:#?}");
}

#[test]
fn a_fault_that_did_not_happen_is_noticed() {
    let world = World::new(Plan::new(1, 20), false);
    let error = world.happened("crashes of the API").expect_err("there was none");
    assert!(error.starts_with("this did not happen: crashes of the API"), "{error}");
}
