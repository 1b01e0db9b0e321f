//! The flags, as `--help` tells them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

const INTRO: &str = "\
Puts load on a ws2http gateway and measures what it costs.

  load idle     what an idle WebSocket costs: memory, processor, and whether all comes back
  load closed   what a message costs, next to a bare relay measured in the same run
  load churn    what a connect and a close cost

Each starts a gateway of its own on the loopback, and a lean API server behind it; both end with the run.
Every answer is checked: its content, its order and whose it is. Whatever is wrong ends the run with code 1.";

const OUTRO: &str = "\
Examples:
  cargo build --release
  load idle --gateway target/release/ws2http-tokio --connections 15000 --assert-bytes 1536
  load closed --gateway target/release/ws2http-tokio --clients 1000 --assert-ratio 1.5 --json closed.json
  load closed --gateway target/release/ws2http-tokio --gateway target/release/ws2http-smol    (to compare them)
  load closed --gateway target/release/ws2http-tokio --only gateway --rounds 1 --seconds 30    (to profile it)

Measure release builds, with nothing else running. Load generator, gateway and API share the machine, so
messages per second are those of all together; the processor time per message is each one's own.";

/// What the command line asks for.
#[derive(Debug, Parser)]
#[command(name = "load", about = INTRO, after_help = OUTRO)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold idle WebSockets: memory of each, processor time, and what is left after their end
    Idle(Idle),
    /// Every client sends its next message as soon as it has its answer; the same through a bare relay
    Closed(Closed),
    /// Open and close WebSockets without a pause
    Churn(Churn),
    /// Serve as the lean API (the other commands start it themselves)
    Api(Api),
    /// Serve as the bare relay (`closed` starts it itself)
    Relay(Relay),
}

/// What all scenarios have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The gateway's program, as target/release/ws2http-tokio; repeated, closed and churn compare them
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) gateway: Vec<PathBuf>,
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

#[derive(Debug, clap::Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) common: Common,
    /// WebSockets to hold
    #[arg(long, value_name = "N", default_value = "15000", value_parser = some)]
    pub(crate) connections: usize,
    /// Every WebSocket exchanges a message before it goes idle: buffers must be given back
    #[arg(long)]
    pub(crate) greet: bool,
    /// How long to watch the idle gateway's processor time
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Fail if an idle WebSocket takes more resident bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) assert_bytes: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Closed {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Clients, each with one message under way
    #[arg(long, value_name = "N", default_value = "1000", value_parser = some)]
    pub(crate) clients: usize,
    /// How long to measure in each round
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long to run before measuring in each round
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub(crate) warm_up: Duration,
    /// Rounds, each with a fresh relay and fresh gateways
    #[arg(long, value_name = "N", default_value = "5", value_parser = some)]
    pub(crate) rounds: usize,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: usize,
    /// Threads of the relay; without it, one per core, as the gateway has them
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) relay_threads: Option<usize>,
    /// Measure the relay or the gateways alone (then without a ratio)
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) only: Option<Which>,
    /// Fail if a message costs a gateway more than this many times the relay's processor time
    #[arg(long, value_name = "RATIO", conflicts_with = "only")]
    pub(crate) assert_ratio: Option<f64>,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    Relay,
    Gateway,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Churn {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How long to measure in each round
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Rounds, each with fresh gateways
    #[arg(long, value_name = "N", default_value = "3", value_parser = some)]
    pub(crate) rounds: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Api {
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Relay {
    #[command(flatten)]
    pub(crate) serve: Serve,
    /// The API server
    #[arg(long, value_name = "ADDR")]
    pub(crate) api: SocketAddr,
}

/// What the two servers have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 finds a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
    /// Threads, each with its own listener on the address
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads)]
    pub(crate) threads: usize,
    /// How long to serve
    #[arg(long, value_name = "S", default_value = "3600", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// End when the standard input ends, as it does when the one who started this ends
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

fn some(text: &str) -> Result<usize, String> {
    bounded(text, 1_000_000)
}

fn threads(text: &str) -> Result<usize, String> {
    bounded(text, 64)
}

fn size(text: &str) -> Result<usize, String> {
    // The relay passes a message on in one read.
    bounded(text, 16 * 1024)
}

fn bounded(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.1..=86_400.0).contains(number));
    number.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, from 0.1 to 86400".to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "expected an address such as 127.0.0.1:0".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("serves the loopback only".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_fit_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in ["0", "-1", "x", "1000001"] {
            assert!(some(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "inf", "NaN", "10s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(loopback("0.0.0.0:80").is_err());
    }
}
