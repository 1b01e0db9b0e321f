//! Flags of the processes that the scenarios start.

use std::net::SocketAddr;
use std::time::Duration;

use super::{loopback, some, threads, time};

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
    #[arg(long, value_name = "TIME", default_value = "60m", value_parser = time)]
    pub(crate) seconds: Duration,
    /// End when the standard input ends, as it does when the one who started this ends
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

/// One process of clients of one gateway.
#[derive(Debug, clap::Args)]
pub(crate) struct Crowd {
    /// The gateway
    #[arg(long, value_name = "ADDR", value_parser = loopback)]
    pub(crate) target: SocketAddr,
    /// Number of the first client
    #[arg(long, value_name = "N")]
    pub(crate) first: usize,
    /// Most clients that it will be told to open
    #[arg(long, value_name = "N", value_parser = some)]
    pub(crate) clients: usize,
    /// How often each sends a message
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) every: Duration,
    /// Bytes of a message
    #[arg(long, value_name = "BYTES", value_parser = super::size)]
    pub(crate) size: usize,
    /// Connects and closes under way at once
    #[arg(long, value_name = "N", value_parser = some)]
    pub(crate) at_once: usize,
}
