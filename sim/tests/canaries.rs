//! Deliberate bugs of the core, each of which the first simulation must find.
//!
//! `cargo test -p ws2http-sim --features canaries --test canaries`

#![cfg(feature = "canaries")]

use std::collections::BTreeMap;

use ws2http_core::Canary;
use ws2http_sim::draw::Draw;
use ws2http_sim::scenario::{Options, Outcome};
use ws2http_sim::shards;

/// A canary must be found within so many worlds.
const SEEDS: u64 = 150;

fn run(seed: u64, canary: Option<Canary>) -> Outcome {
    let mut set = BTreeMap::new();
    set.extend(canary.map(|canary| ("canary".to_owned(), format!("{canary:?}"))));
    shards::run(Draw::from_seed(seed), &Options { seed, trace: false, set })
}

#[test]
fn every_canary_is_found() {
    let mut alive = Vec::new();
    for canary in Canary::ALL {
        let found = (0..SEEDS).map(|seed| (seed, run(seed, Some(*canary)))).find(|(_, outcome)| !outcome.passed());
        match found {
            Some((seed, outcome)) => {
                let what = outcome.violations.first().map(ToString::to_string).or(outcome.error);
                println!("{canary:?}: seed {seed}: {}", what.unwrap_or_default());
            }
            None => alive.push(canary),
        }
    }
    assert!(alive.is_empty(), "not found within {SEEDS} worlds: {alive:?}");
}

#[test]
fn without_a_canary_the_same_worlds_are_sound() {
    for seed in 0..SEEDS {
        let outcome = run(seed, None);
        assert!(outcome.passed(), "seed {seed}: {:?} {:?}", outcome.error, outcome.violations);
    }
}
