//! Flags of the scenarios.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{share, size, some, threads, time};

/// What all scenarios have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// One more argument for the gateway, as --gateway-arg=--ping-interval=30s; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) gateway_arg: Vec<OsString>,
    /// Threads of the clients
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads)]
    pub(crate) threads: usize,
    /// Threads of the API server
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads)]
    pub(crate) api_threads: usize,
    /// Connects and closes under way at once
    #[arg(long, value_name = "N", default_value = "128", value_parser = some)]
    pub(crate) at_once: usize,
    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What the scenarios that compare gateways with the relay have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The gateway's program, as target/release/ws2http-tokio; may be repeated to compare several in one run
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) gateway: Vec<PathBuf>,
    /// How long to measure in each round
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) seconds: Duration,
    /// How long to run before measuring in each round
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) warm_up: Duration,
    /// Rounds, each with a fresh relay and a fresh gateway
    #[arg(long, value_name = "N", default_value = "5", value_parser = some)]
    pub(crate) rounds: usize,
    /// Threads of the relay; without it, one per core, as the gateway has them
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) relay_threads: Option<usize>,
    /// Measure one of the two alone (then without a ratio)
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) only: Option<Only>,
    /// Count the system calls too, with Linux's `perf`, for a second after each round
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Fail if the gateway's processor time is more than this many times the relay's
    #[arg(long, value_name = "RATIO", conflicts_with = "only")]
    pub(crate) assert_ratio: Option<f64>,
}

/// Who is measured, if not both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Only {
    Relay,
    Gateway,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Idle {
    /// The gateway's program, as target/release/ws2http-tokio
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
    /// WebSockets to hold
    #[arg(long, value_name = "N", default_value = "15000", value_parser = some)]
    pub(crate) connections: usize,
    /// Every WebSocket exchanges a message before it goes idle: buffers must be given back
    #[arg(long)]
    pub(crate) greet: bool,
    /// How long to watch the idle gateway's processor time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) seconds: Duration,
    /// Count the idle gateway's system calls (with perf, which may need root)
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Fail if an idle WebSocket takes more resident bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) assert_bytes: Option<u64>,
    /// Fail if the idle gateway's threads wake up more often, per second
    #[arg(long, value_name = "N")]
    pub(crate) assert_sleeps: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Closed {
    #[command(flatten)]
    pub(crate) compare: Compare,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Clients, each with one message under way
    #[arg(long, value_name = "N", default_value = "1000", value_parser = some)]
    pub(crate) clients: usize,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rate {
    #[command(flatten)]
    pub(crate) compare: Compare,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Clients
    #[arg(long, value_name = "N", default_value = "15000", value_parser = some)]
    pub(crate) clients: usize,
    /// How often each sends a message
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, conflicts_with = "of_maximum")]
    pub(crate) every: Duration,
    /// Instead of --every: find how many messages per second the gateway can do at most, and send this share of that
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) of_maximum: Option<f64>,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: usize,
    /// Fail if a client takes more of the gateway's resident bytes, counted from before the first connect
    #[arg(long, value_name = "BYTES")]
    pub(crate) assert_bytes: Option<u64>,
    /// Fail if the gateway's median latency is more milliseconds over the relay's
    #[arg(long, value_name = "MS", conflicts_with = "only")]
    pub(crate) assert_added_p50: Option<f64>,
    /// Fail if the gateway's 99th percentile is more milliseconds over the relay's
    #[arg(long, value_name = "MS", conflicts_with = "only")]
    pub(crate) assert_added_p99: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    /// The gateway's program, as target/release/ws2http-tokio
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Clients that are pushed to, at random
    #[arg(long, value_name = "N", default_value = "1000", value_parser = some)]
    pub(crate) clients: usize,
    /// Kept-alive control connections, each with one push under way
    #[arg(long, value_name = "N", default_value = "64", value_parser = some)]
    pub(crate) connections: usize,
    /// Pushes per second; without it, each connection pushes again as soon as it has its answer
    #[arg(long, value_name = "N", value_parser = some)]
    pub(crate) per_second: Option<usize>,
    /// How long to measure in each round
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) seconds: Duration,
    /// How long to run before measuring in each round
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) warm_up: Duration,
    /// Rounds, each with a fresh gateway
    #[arg(long, value_name = "N", default_value = "3", value_parser = some)]
    pub(crate) rounds: usize,
    /// Bytes of a push
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: usize,
    /// Count the system calls too, with Linux's `perf`, for a second after each round
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Fail if a push costs the gateway more microseconds of processor time
    #[arg(long, value_name = "US")]
    pub(crate) assert_cpu: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) compare: Compare,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Headline {
    /// The gateway's program, as target/release/ws2http-tokio
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Clients in the end
    #[arg(long, value_name = "N", default_value = "250000", value_parser = some)]
    pub(crate) connections: usize,
    /// From none to all of them in this time
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(crate) ramp: Duration,
    /// How often each sends a message
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) every: Duration,
    /// The clients of one process are due in groups, so often: a process that wakes for every message would take more
    /// of the machine than the gateways
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = time)]
    pub(crate) tick: Duration,
    /// How long to go on with all of them
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(crate) hold: Duration,
    /// Gateway processes, each with a process of clients; without it, as many as the descriptor limit makes necessary
    #[arg(long, value_name = "N", value_parser = some)]
    pub(crate) gateways: Option<usize>,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: usize,
    /// Draw the run to this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
    /// Find the highest number of clients: open --step more, hold them for --hold, and so on, up to --connections,
    /// for as long as the 99th percentile of the latency stays under --most-p99
    #[arg(long, requires = "step")]
    pub(crate) highest: bool,
    /// With --highest: clients of each step (opened as fast as --ramp opens --connections)
    #[arg(long, value_name = "N", value_parser = some, requires = "highest")]
    pub(crate) step: Option<usize>,
    /// With --highest: the bound, in milliseconds
    #[arg(long, value_name = "MS", default_value = "250", requires = "highest")]
    pub(crate) most_p99: f64,
    /// Fail if the 99th percentile with all clients open is more milliseconds
    #[arg(long, value_name = "MS", conflicts_with = "highest")]
    pub(crate) assert_p99: Option<f64>,
    /// Fail if a client takes more resident bytes of the gateways
    #[arg(long, value_name = "BYTES")]
    pub(crate) assert_bytes: Option<u64>,
}
