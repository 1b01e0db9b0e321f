//! Worlds that once showed something.

use std::collections::BTreeMap;

use ws2http_sim::draw::Draw;
use ws2http_sim::scenario::Options;
use ws2http_sim::shards;

/// The options that a line of the file names; `None` for a comment.
fn parse(line: &str) -> Option<Options> {
    let words = line.split('#').next()?.split_whitespace();
    let mut set: BTreeMap<String, String> = words
        .map(|word| word.split_once('=').unwrap_or_else(|| panic!("{word:?} is not NAME=VALUE in {line:?}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let seed = set.remove("seed")?.parse().unwrap_or_else(|_| panic!("no seed in {line:?}"));
    Some(Options { seed, trace: false, set })
}

#[test]
fn worlds_that_once_failed_pass() {
    let worlds: Vec<Options> = include_str!("../regressions.txt").lines().filter_map(parse).collect();
    assert!(!worlds.is_empty());
    for options in worlds {
        let outcome = shards::run(Draw::from_seed(options.seed), &options);
        assert!(outcome.passed(), "{options:?}: {:?} {:?}\n{}", outcome.error, outcome.violations, outcome.drawn);
    }
}
