//! `sim`: runs and replays simulated worlds.

use ws2http_sim::scenario::{self, Options};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args.get(1).and_then(|a| a.parse().ok()).unwrap_or(0);
    let count: u64 = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    let trace = args.get(3).is_some();
    let scenario = scenario::named("shards").unwrap();
    let started = std::time::Instant::now();
    let (mut events, mut bad) = (0, 0);
    for seed in from..from + count {
        let outcome = (scenario.run)(&Options { seed, trace, ..Options::default() });
        events += outcome.events;
        if !outcome.passed() || trace {
            bad += 1;
            print!("{}", outcome.trace);
            println!("seed {seed}: {:?}", outcome.error);
            for v in &outcome.violations {
                println!("   {v}");
            }
            if trace {
                println!("{}", outcome.drawn);
                println!("{:?}", outcome.counts)
            }
        }
    }
    println!("{bad} bad of {count}, {events} events, {:?}", started.elapsed());
}
