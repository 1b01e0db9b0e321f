//! What every scenario needs around the clients: a gateway, an API, and a look at both.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::api::Counts;
use crate::args::Common;
use crate::client::Wire;
use crate::interrupt;
use crate::server::{self, Server};
use crate::swarm::{Target, Window};
use crate::syscalls;
use crate::team::Watch;
use crate::usage::{Usage, Used, machine_cpu};

const DISCONNECTS_LIMIT: Duration = Duration::from_secs(60);
const API_CONNECTIONS_LIMIT: Duration = Duration::from_secs(30);

/// Starts the gateway in `file` in front of `api`.
pub(crate) fn start_gateway(file: &Path, common: &Common, api: &Server) -> Result<Server> {
    start_gateway_with(file, common, api, &[])
}

/// The same with `more` arguments, which `--gateway-arg` may set otherwise.
pub(crate) fn start_gateway_with(file: &Path, common: &Common, api: &Server, more: &[&str]) -> Result<Server> {
    let name = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    let given =
        |argument: &str| common.gateway_arg.iter().any(|other| name(&other.to_string_lossy()) == name(argument));
    let more = more.iter().filter(|argument| !given(argument)).map(OsString::from);
    let all: Vec<_> = more.chain(common.gateway_arg.iter().cloned()).collect();
    server::start_gateway(file, api.address, &all)
}

/// The gateway as the clients see it.
pub(crate) fn web_socket(gateway: &Server, size: usize) -> Target {
    Target { address: gateway.address, wire: Wire::WebSocket, size }
}

/// Fails unless `clients` of them, and as many ends of them elsewhere, find descriptors.
pub(crate) fn check_descriptors(clients: usize) -> Result<()> {
    let needed = clients as u64 + 500;
    if let Some(maximum) = raise_descriptors()? {
        ensure!(
            needed <= maximum,
            "{clients} clients need a hard limit of {needed} descriptors (ulimit -Hn: {maximum})"
        );
    }
    Ok(())
}

/// Raises the limit of descriptors, which the processes started here inherit; answers it, if there is one.
pub(crate) fn raise_descriptors() -> Result<Option<u64>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of descriptors")?;
    Ok(maximum)
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

/// How long counting system calls takes, if they are counted.
pub(crate) fn counting_time(count: bool) -> Duration {
    if count { syscalls::TIME } else { Duration::ZERO }
}

/// Who is watched, besides the clients.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) target: &'a Server,
    pub(crate) api: &'a Server,
    /// What counts the work.
    pub(crate) done: &'a AtomicU64,
    /// Whether to count system calls after the window.
    pub(crate) syscalls: bool,
}

impl Watched<'_> {
    /// What is used within the window, and the system calls for each piece of work; calls `look` every so often.
    pub(crate) fn within(
        self,
        watch: &Watch<'_>,
        window: Window,
        look: impl FnMut() -> Result<()>,
    ) -> Result<(Between, Option<f64>)> {
        watch.sleep_until(window.from, || Ok(()))?;
        let before = Look::at(self.done, self.target, self.api)?;
        watch.sleep_until(window.until, look)?;
        let between = Look::at(self.done, self.target, self.api)?.since(&before);
        let syscalls = self.syscalls.then(|| syscalls::count(self.target.pid(), self.done)).transpose()?;
        Ok((between, syscalls))
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
