//! `sim`: runs and replays simulated worlds.

use ws2http_sim::scenario;

fn main() {
    for scenario in scenario::all() {
        println!("{:24} tier {:10} {}", scenario.name, scenario.tier.to_string(), scenario.about);
    }
}
