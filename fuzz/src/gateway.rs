//! Whole worlds: clients, API, networks, failures.

use ws2http_sim::draw::Draw;
use ws2http_sim::scenario::Options;
use ws2http_sim::shards;

/// Takes the bytes for the decisions of a simulated world, which the model of the wire contract judges.
/// A world that breaks a law is told whole: what was drawn, what happened, what was broken.
///
/// # Panics
///
/// If a law is broken, or the gateway panics.
pub fn gateway(data: &[u8]) {
    let outcome = shards::run(Draw::from_bytes(data), &Options::default());
    if outcome.passed() {
        return;
    }
    let told = shards::run(Draw::from_bytes(data), &Options { trace: true, ..Options::default() });
    eprintln!("{}\n{}", told.trace, told.drawn);
    let broken: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    panic!("{}", outcome.error.into_iter().chain(broken).collect::<Vec<_>>().join("\n"));
}
