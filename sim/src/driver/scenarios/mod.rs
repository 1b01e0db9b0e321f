//! The failures, each by name.

mod api;

use std::time::Duration;

use super::scale;
use super::settings::Settings;
use super::world::{Plan, World};
use crate::scenario::{Options, Outcome, Scenario, Tier};

/// What this tier has to show.
pub const SCENARIOS: &[Scenario] = &[
    entry(
        "scale",
        "250,000 clients come, talk, are pushed to and leave; nothing is lost (connections=, picture=FILE.svg)",
        scale::scenario,
    ),
    entry("calm", "ordinary life: nothing goes wrong", |options| play(options, 1000, |_| {}, api::calm)),
    entry("api-crash", "the API's process ends in the middle of calls, and is started again", |options| {
        play(options, 1000, |_| {}, api::crash)
    }),
];

const fn entry(name: &'static str, about: &'static str, run: fn(&Options) -> Outcome) -> Scenario {
    Scenario { name, tier: Tier::Driver, about, run }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sets up a world of so many clients, has the faults happen, and judges what came of it.
fn play(
    options: &Options,
    clients: u32,
    adapt: fn(&mut Plan),
    faults: fn(&mut World<'_>) -> Result<(), String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let result = plan(options, clients, adapt).and_then(|plan| {
        outcome.drawn = format!("{plan:?}");
        let mut world = World::new(plan, options.trace);
        let faults = faults(&mut world);
        let end = world.finish(&mut outcome);
        faults.and(end)
    });
    outcome.error = result.err();
    outcome
}

fn plan(options: &Options, clients: u32, adapt: fn(&mut Plan)) -> Result<Plan, String> {
    let mut settings = Settings::new(options);
    let clients = settings.number("clients", clients)?;
    settings.done(&[])?;
    let mut plan = Plan::new(options.seed, clients.max(8));
    adapt(&mut plan);
    Ok(plan)
}
