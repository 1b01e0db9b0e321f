//! Clients and their networks fail, or are too many, or up to no good.

use std::time::Duration;

use ws2http_core::OnDuplicate;

use super::{Played, secs};
use crate::driver::world::{Plan, World};

pub(super) fn calm(world: &mut World<'_>) -> Played {
    world.run(secs(20))?;
    world.happened("answers heard")?;
    world.happened("pushes heard")?;
    match world.stage.counted("calls that failed, by the log") {
        0 => Ok(()),
        count => Err(format!("{count} calls failed, and nothing was wrong")),
    }
}

pub(super) fn challenge(plan: &mut Plan) {
    plan.config.on_duplicate = OnDuplicate::Challenge;
}

pub(super) fn reject(plan: &mut Plan) {
    plan.config.on_duplicate = OnDuplicate::Reject;
}

pub(super) fn replace(plan: &mut Plan) {
    plan.config.on_duplicate = OnDuplicate::Replace;
}

/// Hosts lose their network one after the other, for a short time and for a long one.
pub(super) fn cut(world: &mut World<'_>) -> Played {
    world.run(secs(4))?;
    for host in 0..world.stage.plan.hosts {
        world.cut(host);
        world.run(if host % 2 == 0 { Duration::from_millis(500) } else { secs(9) })?;
        world.mend(host);
        world.run(secs(2))?;
    }
    world.happened("sockets cut")?;
    world.happened("DELETEs for a ping timeout")
}

pub(super) fn cut_reject(world: &mut World<'_>) -> Played {
    cut(world)?;
    world.happened("handshakes answered 409")
}

pub(super) fn cut_replace(world: &mut World<'_>) -> Played {
    cut(world)?;
    world.happened("DELETEs for a replacement")
}

pub(super) fn storm_plan(plan: &mut Plan) {
    plan.habits.away = Duration::from_millis(20);
}

pub(super) fn storm(world: &mut World<'_>) -> Played {
    world.run(secs(4))?;
    for _ in 0..4 {
        world.storm();
        world.run(secs(3))?;
    }
    world.happened("ended by a storm")
}

pub(super) fn latency_plan(plan: &mut Plan) {
    plan.client_latency = Duration::from_millis(600);
}

pub(super) fn latency(world: &mut World<'_>) -> Played {
    world.run(secs(4))?;
    for host in 0..world.stage.plan.hosts {
        world.set_latency(host, Duration::from_millis(600));
        world.run(secs(3))?;
        world.set_latency(host, Duration::from_millis(5));
        world.run(secs(1))?;
        world.hold(host);
        world.run(secs(1 + 3 * host as u64))?;
        world.release(host);
        world.run(secs(1))?;
    }
    world.happened("changes of latency")?;
    world.happened("stalls of clients' networks")?;
    world.happened("DELETEs for a ping timeout")
}

/// What waits for a reader outside of the gateway must be little against the gateway's own queue, and pings must not
/// tell first that nobody reads.
pub(super) fn slow_readers_plan(plan: &mut Plan) {
    plan.capacity = 64;
    plan.config.ping_interval = None;
    plan.slow_readers = plan.clients / 5;
    plan.pushers = (plan.clients / 6).max(8);
    plan.push_pause = Duration::from_millis(10);
    plan.push_size = 16 * 1024;
    plan.kicks = 0;
}

pub(super) fn slow_readers(world: &mut World<'_>) -> Played {
    world.run(secs(20))?;
    world.happened("clients that stopped reading")?;
    world.happened("pushes answered 503")?;
    world.happened("DELETEs for a send timeout")
}

pub(super) fn push_storm_plan(plan: &mut Plan) {
    plan.astray = 95;
    plan.pushers = plan.clients / 3;
    plan.push_pause = Duration::from_millis(1);
}

pub(super) fn push_storm(world: &mut World<'_>) -> Played {
    world.run(secs(10))?;
    let (pushes, clients) = (world.stage.counted("pushes answered 404"), u64::from(world.stage.plan.clients));
    if pushes < 50 * clients {
        return Err(format!("{pushes} pushes to nobody are no storm: {:?}", world.stage.counts()));
    }
    Ok(())
}

pub(super) fn busy_shard_plan(plan: &mut Plan) {
    plan.shards = 1;
    plan.silent = plan.clients / 10;
    plan.habits.pause = Duration::from_millis(20);
    plan.habits.closes = 0;
    plan.habits.drops = 0;
}

pub(super) fn busy_shard(world: &mut World<'_>) -> Played {
    world.run(secs(16))?;
    world.happened("silent clients dropped in time")?;
    match world.stage.counted("silent clients dropped late") {
        0 => Ok(()),
        count => Err(format!("{count} silent clients were dropped late")),
    }
}

pub(super) fn rogues(plan: &mut Plan) {
    plan.rogues = plan.clients / 10;
}

pub(super) fn random_bytes(world: &mut World<'_>) -> Played {
    world.run(secs(20))?;
    world.happened("random bytes instead of a request")?;
    world.happened("random bytes after a handshake")
}
