//! The flags, as `--help` tells them.

mod scenarios;
mod servers;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub(crate) use scenarios::{Churn, Closed, Common, Compare, Headline, Idle, Only, Push, Rate};
pub(crate) use servers::{Api, Crowd, Relay, Serve};

const INTRO: &str = "\
Puts load on a ws2http gateway and measures what it costs.

  load idle      what an idle WebSocket costs: memory, processor, and whether all comes back
  load closed    what a message costs, next to a bare relay measured in the same run
  load rate      the same at a fixed rate: latency from the time a message was due, memory of busy clients
  load push      what a push costs, and how long it takes to be heard
  load churn     what a connect and a close cost, next to the relay
  load headline  very many clients in front of several gateways at once, each with a message every 10 s

Each starts gateways of its own on the loopback, and a lean API server behind them; all end with the run.
Every answer is checked: its content, its order and whose it is. Whatever is wrong ends the run with code 1.";

const OUTRO: &str = "\
Examples:
  cargo build --release
  load idle --gateway target/release/ws2http-tokio --connections 15000 --assert-bytes 1536
  load closed --gateway target/release/ws2http-tokio --clients 1000 --assert-ratio 1.5 --json closed.json
  load closed --gateway target/release/ws2http-tokio --only gateway --rounds 1 --seconds 30    (to profile it)
  load rate --gateway target/release/ws2http-tokio --clients 15000 --every 10s --assert-bytes 2560
  load rate --gateway target/release/ws2http-tokio --clients 1000 --of-maximum 0.1
  load headline --gateway target/release/ws2http-tokio --connections 250000 --picture headline.svg

Measure release builds, with nothing else running. Load generator, gateway and API share the machine, so
messages per second are those of all together; the processor time per message is each one's own.
Times are written as 500ms, 10s, 5m, or as seconds alone.";

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
    /// Every client sends a message every so often, whether answers are late or not; the same through the relay
    Rate(Rate),
    /// Push messages to connected clients through the gateway's control side
    Push(Push),
    /// Open and close WebSockets without a pause; the same through the relay
    Churn(Churn),
    /// From 0 to very many clients, in front of several gateways; hold them; let all leave
    Headline(Headline),
    /// Serve as the lean API (the other commands start it themselves)
    Api(Api),
    /// Serve as the bare relay (the other commands start it themselves)
    Relay(Relay),
    /// Be one process full of clients, led through the standard input (`headline` starts it itself)
    Crowd(Crowd),
}

fn some(text: &str) -> Result<usize, String> {
    bounded(text, 10_000_000)
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

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| "expected a share such as 0.1, up to 1".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => f64::NAN,
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * seconds);
    let seconds = seconds.filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected a time such as 500ms, 10s or 5m, up to a day".to_owned())
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
        for wrong in ["0", "-1", "x", "10000001"] {
            assert!(some(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "inf", "NaN", "10h", "s", "1s1", "2000m", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "1.1", "-0.1", "NaN", "x"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(loopback("0.0.0.0:80").is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [("10", 10_000), ("0.5", 500), ("500ms", 500), ("10s", 10_000), ("1.5m", 90_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }
}
