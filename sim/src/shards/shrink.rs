//! Looks for a smaller world that fails the same way.

use std::collections::BTreeMap;

use super::{Feature, plan_of, run};
use crate::draw::Draw;
use crate::model::Law;
use crate::scenario::{Options, Outcome};

/// So many worlds are tried.
const TRIES: u32 = 120;

/// What makes two failures the same: the law that was broken, or that something else went wrong.
fn kind(outcome: &Outcome) -> Option<Option<Law>> {
    (!outcome.passed()).then(|| outcome.violations.first().map(|violation| violation.law))
}

/// Changes options one by one and keeps what still fails the same way: fewer clients, shorter,
/// features switched off. What is left is not the smallest world there is.
pub fn shrink(options: &Options, outcome: &Outcome) -> Options {
    let mut best = Options { trace: false, ..options.clone() };
    let mut tries = 0;
    let mut fails = |set: BTreeMap<String, String>| {
        tries += 1;
        let smaller = Options { seed: options.seed, trace: false, set };
        let same = tries <= TRIES && kind(&run(Draw::from_seed(smaller.seed), &smaller)) == kind(outcome);
        same.then_some(smaller)
    };
    loop {
        let before = best.set.clone();
        for set in candidates(&best) {
            // A candidate was made before others were accepted: each changes one thing of its own.
            let mut merged = best.set.clone();
            for (name, value) in set {
                let list = name == "off" && merged.contains_key("off");
                let value = if list { format!("{},{value}", merged[&name]) } else { value };
                merged.insert(name, value);
            }
            if let Some(smaller) = fails(merged) {
                best = smaller;
            }
        }
        if best.set == before {
            return best;
        }
    }
}

/// Single changes that make a world smaller.
fn candidates(options: &Options) -> Vec<BTreeMap<String, String>> {
    let Ok(plan) = plan_of(&mut Draw::from_seed(options.seed), options) else { return Vec::new() };
    let mut all = Vec::new();
    let mut number = |name: &str, now: u64, least: u64| {
        if now > least {
            all.push(BTreeMap::from([(name.to_owned(), (now / 2).max(least).to_string())]));
        }
    };
    number("clients", plan.clients, 1);
    number("connects", plan.connects, 1);
    number("shards", u64::from(plan.shards), 1);
    number("faults-ms", plan.faults.as_millis() as u64, 50);
    let features = plan.features.iter().filter(|feature| Feature::ALL.contains(feature));
    all.extend(features.map(|feature| BTreeMap::from([("off".to_owned(), feature.word().to_owned())])));
    all
}
