//! What every scenario needs around the clients: a gateway, an API, and a look at both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::api::Counts;
use crate::args::Common;
use crate::client::Wire;
use crate::interrupt;
use crate::server::{self, Server};
use crate::swarm::Target;
use crate::usage::{Usage, Used};

const DISCONNECTS_LIMIT: Duration = Duration::from_secs(60);

/// Starts the gateway in front of `api`.
pub(crate) fn start_gateway(common: &Common, api: &Server) -> Result<Server> {
    server::start_gateway(&common.gateway, api.address, &common.gateway_arg)
}

/// The gateway as the clients see it.
pub(crate) fn web_socket(gateway: &Server, size: usize) -> Target {
    Target { address: gateway.address, wire: Wire::WebSocket, size }
}

/// Fails unless `clients` of them, and as many ends of them elsewhere, find descriptors.
pub(crate) fn check_descriptors(clients: usize) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // The processes started here inherit the limit.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("cannot raise the limit of descriptors")?;
    let needed = clients as u64 + 500;
    if let Some(maximum) = limit.maximum {
        ensure!(
            needed <= maximum,
            "{clients} clients need a hard limit of {needed} descriptors (ulimit -Hn: {maximum})"
        );
    }
    Ok(())
}

/// Waits until the API has heard of every end, and fails if it heard anything wrong before.
pub(crate) fn await_disconnects(api: &Server, expected: u64) -> Result<Counts> {
    let deadline = Instant::now() + DISCONNECTS_LIMIT;
    loop {
        let counts = server::counts(api.address)?;
        ensure!(counts.misdirected == 0, "{} messages came under a wrong ClientId", counts.misdirected);
        ensure!(counts.broken == 0, "the API server could not understand {} requests", counts.broken);
        ensure!(counts.disconnects <= expected, "{} DELETEs of {expected} connections", counts.disconnects);
        if counts.disconnects == expected {
            ensure!(counts.connects == expected, "{} GETs of {expected} connections", counts.connects);
            return Ok(counts);
        }
        if Instant::now() > deadline {
            bail!("only {} DELETEs of {expected} connections in {DISCONNECTS_LIMIT:?}", counts.disconnects);
        }
        interrupt::sleep_until(Instant::now() + Duration::from_millis(50))?;
    }
}

/// A look at everyone who works for a message.
pub(crate) struct Look {
    at: Instant,
    done: u64,
    target: Usage,
    api: Usage,
    load: Usage,
}

/// What happened between two looks.
pub(crate) struct Between {
    pub(crate) elapsed: Duration,
    /// What was counted: messages, connects.
    pub(crate) done: u64,
    pub(crate) target: Used,
    pub(crate) api: Used,
    pub(crate) load: Used,
}

impl Look {
    /// Looks at the server `target`, the API and this process; `done` counts the work.
    pub(crate) fn at(done: &AtomicU64, target: &Server, api: &Server) -> Result<Look> {
        Ok(Look {
            at: Instant::now(),
            done: done.load(Ordering::Relaxed),
            target: Usage::of(target.pid())?,
            api: Usage::of(api.pid())?,
            load: Usage::of(std::process::id())?,
        })
    }

    /// The difference to an `earlier` look.
    pub(crate) fn since(&self, earlier: &Look) -> Between {
        Between {
            elapsed: self.at - earlier.at,
            done: self.done - earlier.done,
            target: self.target.since(&earlier.target),
            api: self.api.since(&earlier.api),
            load: self.load.since(&earlier.load),
        }
    }
}

impl Between {
    /// Work done per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of processor time for one piece of work.
    pub(crate) fn cpu_us(&self, used: &Used) -> f64 {
        used.cpu.as_secs_f64() * 1e6 / self.done as f64
    }
}
