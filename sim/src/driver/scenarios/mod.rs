//! What this tier shows, each by name.
//!
//! A scenario adapts the plan of a world, has something happen in it, and says what must have happened: a fault that
//! did not happen tests nothing. The reference model judges, and [`World::finish`] has everybody served afterwards.

mod api;
mod balance;
mod clients;
mod soak;

use std::time::Duration;

use super::scale;
use super::settings::Settings;
use super::world::{Plan, World};
use crate::scenario::{Options, Outcome, Scenario, Tier};

/// What may go wrong in a world: what was not so, though it had to be.
pub(super) type Played = Result<(), String>;

/// Everything that this tier shows.
pub const SCENARIOS: &[Scenario] = &[
    entry(
        "scale",
        "250,000 clients come, talk, are pushed to and leave: nothing is lost (connections=, picture=FILE.svg)",
        scale::scenario,
    ),
    entry("calm", "ordinary life: nothing goes wrong", |o| play(o, 2000, |_| {}, clients::calm)),
    entry("api-crash", "the API's process ends in the middle of calls, and comes back", |o| {
        play(o, 2000, |_| {}, api::crash)
    }),
    entry("api-partition", "the network between gateway and API is cut, and heals", |o| {
        play(o, 2000, |_| {}, api::partition)
    }),
    entry("api-stall", "the network between gateway and API stalls, and has long ways", |o| {
        play(o, 1000, api::stall_plan, api::stall)
    }),
    entry("api-slow", "the API takes longer than it may", |o| play(o, 1000, |_| {}, api::slow)),
    entry("api-silent", "the API reads requests, and never answers", |o| play(o, 1000, |_| {}, api::silent)),
    entry("api-late", "the API answers just when the gateway gives up", |o| play(o, 1000, |_| {}, api::late)),
    entry("api-failing", "the API answers 500, or breaks off", |o| play(o, 1000, |_| {}, api::failing)),
    entry("api-down-drain", "the gateway drains under full load, while the API is down", |o| {
        play(o, 1000, |_| {}, api::down_while_draining)
    }),
    entry("cut-challenge", "clients lose their network and come back by the same id: the old one is asked", |o| {
        play(o, 1000, clients::challenge, clients::cut)
    }),
    entry("cut-reject", "the same, and the new one is refused as long as the old one is there", |o| {
        play(o, 1000, clients::reject, clients::cut_reject)
    }),
    entry("cut-replace", "the same, and the new one replaces the old one", |o| {
        play(o, 1000, clients::replace, clients::cut_replace)
    }),
    entry("storm", "everybody is dropped at once, and comes back at once", |o| {
        play(o, 3000, clients::storm_plan, clients::storm)
    }),
    entry("latency", "ways to clients become long, and their networks stall", |o| {
        play(o, 1000, clients::latency_plan, clients::latency)
    }),
    entry("slow-readers", "clients that do not read are pushed to", |o| {
        play(o, 300, clients::slow_readers_plan, clients::slow_readers)
    }),
    entry("push-storm", "very many pushes to nobody", |o| play(o, 500, clients::push_storm_plan, clients::push_storm)),
    entry("busy-shard", "one shard has very much to do, and still drops silent clients in time", |o| {
        play(o, 150, clients::busy_shard_plan, clients::busy_shard)
    }),
    entry("random-bytes", "a tenth of the clients send random bytes", |o| {
        play(o, 1000, clients::rogues, clients::random_bytes)
    }),
    entry("balance-kill", "three gateways behind a load balancer: one loses its power, and comes back", |o| {
        play(o, 1000, balance::three, balance::kill)
    }),
    entry("balance-replace", "two gateways behind a load balancer: each one is drained and replaced", |o| {
        play(o, 1000, balance::two, balance::replace)
    }),
    entry("balance-add", "two gateways behind a load balancer: a third one is added", |o| {
        play(o, 1000, balance::two_and_one, balance::add)
    }),
    entry("soak", "all of that, in an order and mix that the seed decides (clients=, rounds=)", soak::scenario),
];

const fn entry(name: &'static str, about: &'static str, run: fn(&Options) -> Outcome) -> Scenario {
    Scenario { name, tier: Tier::Driver, about, run }
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sets up a world of so many clients, has the faults happen, and judges what came of it.
fn play(options: &Options, clients: u32, adapt: fn(&mut Plan), faults: fn(&mut World<'_>) -> Played) -> Outcome {
    let mut settings = Settings::new(options);
    let plan = settings.number("clients", clients).and_then(|clients| {
        settings.done(&[])?;
        let mut plan = Plan::new(options.seed, clients.max(20));
        adapt(&mut plan);
        Ok(plan)
    });
    match plan {
        Ok(plan) => play_plan(options, plan, faults),
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    }
}

/// The same for a plan that has been made.
pub(super) fn play_plan(options: &Options, plan: Plan, faults: impl FnOnce(&mut World<'_>) -> Played) -> Outcome {
    let mut outcome = Outcome { drawn: format!("{plan:?}"), ..Outcome::default() };
    let mut world = World::new(plan, options.trace);
    let happened = faults(&mut world);
    let ended = world.finish(&mut outcome);
    outcome.error = happened.and(ended).err();
    outcome
}
