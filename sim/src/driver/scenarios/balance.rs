//! Several gateways behind a load balancer that hashes ClientIds consistently.

use super::{Played, secs};
use crate::driver::world::{Plan, World};

pub(super) fn three(plan: &mut Plan) {
    plan.gateways = 3;
}

pub(super) fn two(plan: &mut Plan) {
    plan.gateways = 2;
}

pub(super) fn two_and_one(plan: &mut Plan) {
    plan.gateways = 3;
    plan.spare = 1;
}

pub(super) fn kill(world: &mut World<'_>) -> Played {
    world.run(secs(5))?;
    world.kill_gateway(1);
    world.run(secs(5))?;
    world.restart_gateway(1);
    world.run(secs(5))?;
    world.happened("gateways killed")?;
    world.happened("gateways started again")
}

pub(super) fn replace(world: &mut World<'_>) -> Played {
    world.run(secs(5))?;
    for gateway in 0..2 {
        world.drain_gateway(gateway)?;
        world.run(secs(2))?;
        world.restart_gateway(gateway);
        world.run(secs(5))?;
    }
    world.happened("gateways drained")?;
    world.happened("DELETEs for a drain")
}

pub(super) fn add(world: &mut World<'_>) -> Played {
    world.run(secs(5))?;
    world.add_gateway();
    world.run(secs(10))?;
    world.happened("clients found on another gateway")
}
