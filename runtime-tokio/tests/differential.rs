//! The differential test finds no difference between this binary and itself, and finds one where there is one.

use ws2http_e2e::differential::{Outcome, Script, Side, run};

fn side(flags: &str) -> Side {
    let flags = flags.split_whitespace().map(str::to_owned).collect();
    Side { binary: env!("CARGO_BIN_EXE_ws2http-tokio").into(), flags }
}

/// Plays the scripts of these seeds, four at once.
fn play(seeds: std::ops::Range<u64>, flags: &str) -> Vec<(u64, Outcome)> {
    let seeds: Vec<u64> = seeds.collect();
    let (left, right) = (side(""), side(flags));
    let lots: Vec<&[u64]> = seeds.chunks(seeds.len().div_ceil(4)).collect();
    std::thread::scope(|scope| {
        let (left, right) = (&left, &right);
        let play = |lot: &'_ [u64]| -> Vec<(u64, Outcome)> {
            lot.iter().map(|seed| (*seed, run(&Script::draw(*seed), left, right))).collect()
        };
        let threads: Vec<_> = lots.into_iter().map(|lot| scope.spawn(move || play(lot))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("scripts are played")).collect()
    })
}

#[test]
fn a_gateway_is_equal_to_itself() {
    for (seed, outcome) in play(0..24, "") {
        let difference = outcome.difference.as_ref().map(ToString::to_string);
        assert!(outcome.is_fine(), "seed {seed}: {difference:?} {:?}", outcome.left.troubles());
    }
}

/// Scripts are drawn so that one of a few meets what the flag changes.
fn is_found(flags: &str) {
    let found = play(0..24, flags).iter().filter(|(_, outcome)| outcome.difference.is_some()).count();
    assert!(found > 0, "{flags} makes no difference");
}

#[test]
fn another_policy_for_duplicates_is_found() {
    is_found("--on-duplicate reject");
}

#[test]
fn refusals_in_band_are_found() {
    is_found("--refuse-in-band");
}

#[test]
fn another_number_of_calls_is_found() {
    is_found("--calls-per-client 2");
}

#[test]
fn another_limit_of_messages_is_found() {
    is_found("--max-message 10");
}

#[test]
fn closing_on_failures_is_found() {
    is_found("--on-api-failure close");
}
