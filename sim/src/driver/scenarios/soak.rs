//! The long soak: everything that can go wrong, in an order that the seed decides.

use std::time::Duration;

use ws2http_core::OnDuplicate;

use super::{Played, play_plan, secs};
use crate::driver::settings::Settings;
use crate::driver::world::{Mood, Plan, World};
use crate::scenario::{Options, Outcome};

/// What can happen in a round.
#[derive(Clone, Copy, Debug)]
enum Fault {
    ApiCrash,
    ApiPartition,
    ApiStall,
    Mood(Mood),
    Cut,
    Stall,
    Storm,
    Kill,
    Replace,
}

const FAULTS: [Fault; 12] = [
    Fault::ApiCrash,
    Fault::ApiPartition,
    Fault::ApiStall,
    Fault::Mood(Mood::Slow(1000, 5000)),
    Fault::Mood(Mood::Slow(2985, 3015)),
    Fault::Mood(Mood::Silent),
    Fault::Mood(Mood::Failing(30)),
    Fault::Cut,
    Fault::Stall,
    Fault::Storm,
    Fault::Kill,
    Fault::Replace,
];

pub(super) fn scenario(options: &Options) -> Outcome {
    match plan(options) {
        Ok((plan, rounds)) => play_plan(options, plan, |world| play(world, rounds)),
        Err(error) => Outcome { error: Some(error), ..Outcome::default() },
    }
}

fn plan(options: &Options) -> Result<(Plan, u32), String> {
    let mut settings = Settings::new(options);
    let (clients, rounds) = (settings.number("clients", 400)?, settings.number("rounds", 40)?);
    settings.done(&[])?;
    let mut plan = Plan::new(options.seed, clients.max(20));
    let mut rng = plan.rng(b's', 0);
    plan.gateways = rng.usize(2..=3);
    plan.shards = rng.u16(1..=4);
    plan.rogues = rng.u32(0..=clients / 10);
    plan.silent = rng.u32(0..=clients / 20);
    plan.slow_readers = rng.u32(0..=clients / 20);
    plan.config.on_duplicate = [OnDuplicate::Challenge, OnDuplicate::Reject, OnDuplicate::Replace][rng.usize(0..3)];
    plan.habits.closes = rng.u8(0..10);
    plan.habits.drops = rng.u8(0..5);
    plan.habits.size = rng.usize(10..4000);
    Ok((plan, rounds))
}

fn play(world: &mut World<'_>, rounds: u32) -> Played {
    let mut rng = world.stage.plan.rng(b'f', 0);
    world.run(secs(3))?;
    for round in 0..rounds {
        let fault = FAULTS[rng.usize(0..FAULTS.len())];
        let time = Duration::from_millis(rng.u64(200..6000));
        let gateway = rng.usize(0..world.stage.plan.gateways);
        let host = rng.usize(0..world.stage.plan.hosts);
        world.stage.note(&format!("round {round}: {fault:?} for {time:?}, gateway {gateway}, host {host}"));
        happen(world, fault, time, gateway, host)?;
        world.run(Duration::from_millis(rng.u64(0..4000)))?;
        world.stage.count("rounds");
    }
    world.happened("rounds")
}

fn happen(world: &mut World<'_>, fault: Fault, time: Duration, gateway: usize, host: usize) -> Played {
    match fault {
        Fault::ApiCrash => {
            world.api_faults(true)?;
            world.crash_api();
            world.run(time)?;
            world.start_api();
            world.api_faults(false)?;
        }
        Fault::ApiPartition => {
            world.api_faults(true)?;
            world.part_api();
            world.run(time)?;
            world.mend_api();
            world.api_faults(false)?;
        }
        Fault::ApiStall => {
            world.api_faults(true)?;
            world.hold_api();
            // Less than a call may take: what was given up would arrive after what came later.
            world.run(time / 3)?;
            world.release_api();
            world.api_faults(false)?;
        }
        Fault::Mood(mood) => {
            world.api.mood.set(mood);
            world.run(time)?;
            world.api.mood.set(Mood::Prompt(10));
        }
        Fault::Cut => {
            world.cut(host);
            world.run(time)?;
            world.mend(host);
        }
        Fault::Stall => {
            world.hold(host);
            world.run(time)?;
            world.release(host);
        }
        Fault::Storm => world.storm(),
        Fault::Kill => {
            world.kill_gateway(gateway);
            world.run(time)?;
            world.restart_gateway(gateway);
        }
        Fault::Replace => {
            world.drain_gateway(gateway)?;
            world.run(time)?;
            world.restart_gateway(gateway);
        }
    }
    Ok(())
}
