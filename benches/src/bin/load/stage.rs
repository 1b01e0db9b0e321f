//! What every scenario needs around the clients: a gateway, an API, and a look at both.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::api::Counts;
use crate::args::Common;
use crate::client::Wire;
use crate::interrupt;
use crate::server::{self, Server};
use crate::swarm::Target;
use crate::usage::{Usage, Used, machine_cpu};

const DISCONNECTS_LIMIT: Duration = Duration::from_secs(60);
const API_CONNECTIONS_LIMIT: Duration = Duration::from_secs(30);

/// Starts a gateway in front of `api`.
pub(crate) fn start_gateway(program: &Path, common: &Common, api: &Server) -> Result<Server> {
    server::start_gateway(program, api.address, &common.gateway_arg)
}

/// What a gateway is called in the results.
pub(crate) fn name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Fails if two gateways would have one name in the results.
pub(crate) fn check_names(common: &Common) -> Result<()> {
    let mut names: Vec<String> = common.gateway.iter().map(|program| name(program)).collect();
    names.sort();
    names.dedup();
    ensure!(names.len() == common.gateway.len(), "two gateways have one file name: copy one of them to another name");
    Ok(())
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

/// Waits until nobody but us keeps a connection to the API: what a kept one costs is no idle client's cost.
pub(crate) fn await_no_api_connections(api: &Server) -> Result<()> {
    let deadline = Instant::now() + API_CONNECTIONS_LIMIT;
    while server::counts(api.address)?.open > 1 {
        if Instant::now() > deadline {
            eprintln!("  it keeps connections to the API for over {API_CONNECTIONS_LIMIT:?}: they count too");
            return Ok(());
        }
        interrupt::sleep_until(Instant::now() + Duration::from_millis(200))?;
    }
    Ok(())
}

/// A look at everyone who works for a message.
pub(crate) struct Look {
    at: Instant,
    done: u64,
    target: Usage,
    api: Usage,
    load: Usage,
    machine: Duration,
}

/// What happened between two looks.
pub(crate) struct Between {
    pub(crate) elapsed: Duration,
    /// What was counted: messages, connects.
    pub(crate) done: u64,
    pub(crate) target: Used,
    pub(crate) api: Used,
    pub(crate) load: Used,
    /// Processor time of everything else on the machine.
    others: Duration,
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
            machine: machine_cpu()?,
        })
    }

    /// The difference to an `earlier` look.
    pub(crate) fn since(&self, earlier: &Look) -> Between {
        let (target, api, load) =
            (self.target.since(&earlier.target), self.api.since(&earlier.api), self.load.since(&earlier.load));
        let ours = target.cpu + api.cpu + load.cpu;
        Between {
            elapsed: self.at - earlier.at,
            done: self.done - earlier.done,
            others: (self.machine - earlier.machine).saturating_sub(ours),
            target,
            api,
            load,
        }
    }
}

impl Between {
    /// Work done per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// How much of the machine everything else took, in percent: more than a little spoils latencies and rates.
    pub(crate) fn others_percent(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        100.0 * self.others.as_secs_f64() / (self.elapsed.as_secs_f64() * cores as f64)
    }

    /// Microseconds of processor time for one piece of work.
    pub(crate) fn cpu_us(&self, used: &Used) -> f64 {
        used.cpu.as_secs_f64() * 1e6 / self.done as f64
    }
}

/// Warns if a round was disturbed, by what [`Between::others_percent`] found.
pub(crate) fn warn_of_others(percents: impl IntoIterator<Item = f64>) {
    const MUCH: f64 = 5.0;
    let disturbed = percents.into_iter().filter(|percent| *percent > MUCH).count();
    if disturbed > 0 {
        println!(
            "warning: in {disturbed} rounds other processes took over {MUCH} % of the machine; \
             trust the processor times alone, and those with care"
        );
    }
}
