//! The API fails.

use std::time::Duration;

use super::{Played, secs};
use crate::driver::world::{Mood, Plan, World};

pub(super) fn crash(world: &mut World<'_>) -> Played {
    // So that there are calls under way at any time.
    world.api.mood.set(Mood::Slow(100, 600));
    world.run(secs(4))?;
    world.api_faults(true)?;
    for down in [1, 3, 8] {
        world.crash_api();
        world.run(secs(down))?;
        world.start_api();
        world.run(secs(2))?;
    }
    world.api_faults(false)?;
    world.happened("crashes of the API")?;
    world.happened("calls that ended with the API")
}

pub(super) fn partition(world: &mut World<'_>) -> Played {
    // So that there are calls under way at any time.
    world.api.mood.set(Mood::Slow(100, 600));
    world.run(secs(4))?;
    world.api_faults(true)?;
    for cut in [1, 7] {
        world.part_api();
        world.run(secs(cut))?;
        world.mend_api();
        world.run(secs(2))?;
    }
    world.api_faults(false)?;
    world.happened("partitions of the API")?;
    world.happened("calls cut off")
}

pub(super) fn stall_plan(plan: &mut Plan) {
    plan.api_latency = Duration::from_millis(300);
}

/// Nothing is lost: who waits for less than the timeout gets everything.
pub(super) fn stall(world: &mut World<'_>) -> Played {
    world.run(secs(4))?;
    world.set_api_latency(Duration::from_millis(300));
    world.run(secs(4))?;
    world.set_api_latency(Duration::from_millis(3));
    world.run(secs(2))?;
    world.api_faults(true)?;
    for _ in 0..3 {
        world.hold_api();
        world.run(secs(2))?;
        world.release_api();
        world.run(secs(2))?;
    }
    world.api_faults(false)?;
    world.happened("stalls of the API's network")
}

pub(super) fn slow(world: &mut World<'_>) -> Played {
    world.run(secs(3))?;
    world.api.mood.set(Mood::Slow(1000, 6000));
    world.run(secs(20))?;
    world.api.mood.set(Mood::Prompt(10));
    world.happened("calls that the gateway gave up")?;
    world.happened("handshakes answered 504")
}

pub(super) fn silent(world: &mut World<'_>) -> Played {
    world.run(secs(3))?;
    world.api.mood.set(Mood::Silent);
    world.run(secs(10))?;
    world.api.mood.set(Mood::Prompt(10));
    world.happened("calls that the gateway gave up")
}

pub(super) fn late(world: &mut World<'_>) -> Played {
    world.run(secs(3))?;
    let timeout = u64::try_from(world.stage.plan.config.api_timeout.as_millis()).unwrap_or(u64::MAX);
    world.api.mood.set(Mood::Slow(timeout - 15, timeout + 15));
    world.run(secs(20))?;
    world.api.mood.set(Mood::Prompt(10));
    world.happened("calls that the gateway gave up")?;
    world.happened("answers that come too late")
}

pub(super) fn failing(world: &mut World<'_>) -> Played {
    world.run(secs(3))?;
    world.api.mood.set(Mood::Failing(30));
    world.run(secs(12))?;
    world.api.mood.set(Mood::Prompt(10));
    world.happened("failures of the API")
}

/// What the API was not told of a drain is told to the operator.
pub(super) fn down_while_draining(world: &mut World<'_>) -> Played {
    world.run(secs(4))?;
    world.api_faults(true)?;
    world.part_api();
    world.crash_api();
    world.run(secs(1))?;
    world.drain_gateway(0)?;
    world.start_api();
    world.mend_api();
    world.run(secs(1))?;
    world.restart_gateway(0);
    world.happened("gateways drained")?;
    world.happened("DELETEs given up, by the log")
}
