//! Tier 1: discrete events around the shards of one gateway, in one thread.
//!
//! A [`Plan`] is drawn from a seed, then a world is run by it: clients, an API, people who push and
//! kick, networks between them. Everything that happens is an entry in one queue ordered by time.
//! First faults happen, then they stop and all must come to rest; last the clients leave, and nothing
//! may be left.
//!
//! - `world.rs`: the loop; `phases.rs`: the course of a world
//! - `shard.rs`: the driver that carries out actions; `pipe.rs`: sockets
//! - `client.rs`, `control.rs`, `api.rs`: those around the gateway; `codec.rs`: their wire format

mod api;
mod client;
mod codec;
mod control;
mod feature;
mod phases;
mod pipe;
mod plan;
mod queue;
mod shard;
mod shrink;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use feature::Feature;
pub use plan::Plan;
pub use shrink::shrink;

use crate::draw::Draw;
use crate::scenario::{Options, Outcome, Scenario, Tier};
use world::World;

/// What this tier has to show.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "shards",
    tier: Tier::Shards,
    about: "anything: clients, API, networks and settings drawn from the seed",
    run: |options| run(Draw::from_seed(options.seed), options),
}];

/// Draws a world, lets it happen, and judges it. A panic of the gateway is an error of the outcome.
pub fn run(mut draw: Draw, options: &Options) -> Outcome {
    match plan_of(&mut draw, options) {
        Ok(plan) => run_plan(plan, draw.split(), options.trace),
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    }
}

/// Draws the options of a world and changes them as the command line wants.
fn plan_of(draw: &mut Draw, options: &Options) -> Result<Plan, String> {
    let mut plan = Plan::draw(draw);
    plan.set(&options.set)?;
    Ok(plan)
}

/// Lets one world happen.
pub fn run_plan(plan: Plan, draw: Draw, trace: bool) -> Outcome {
    let drawn = plan.to_string();
    let mut world = World::new(plan, draw, trace);
    let panicked = catch_unwind(AssertUnwindSafe(|| world.run())).err();
    let panicked = panicked.map(|panic| match panic.downcast::<String>() {
        Ok(text) => format!("panic: {text}"),
        Err(panic) => format!("panic: {}", panic.downcast_ref::<&str>().unwrap_or(&"of an unknown kind")),
    });
    Outcome {
        violations: world.model.violations().to_vec(),
        error: panicked.or_else(|| world.faults.into_iter().next()),
        drawn,
        events: world.events,
        counts: world.counts,
        checks: world.model.checks().clone(),
        trace: world.trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_can_be_drawn_from_bytes() {
        let mut rng = fastrand::Rng::with_seed(7);
        for length in [0, 1, 10, 100, 1000, 4000] {
            let bytes: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
            let outcome = run(Draw::from_bytes(&bytes), &Options::default());
            assert!(outcome.passed(), "{length} bytes: {:?} {:?}", outcome.error, outcome.violations);
            assert!(outcome.events > 10, "{length} bytes: {} events", outcome.events);
        }
    }
}
