//! From flags to the core's [`Config`].

use std::net::SocketAddr;

use ws2http_core::{Config, Secret};

use crate::args::Args;

/// What the limit on descriptors allows.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) clients: usize,
    /// With those that are no clients, or not yet: all but what the API and the rest of the process need.
    pub(crate) sockets: usize,
}

/// The configuration that the flags ask for, or what is wrong with them together.
pub(crate) fn config(args: &Args, runtime: &'static str, limits: Limits) -> Result<Config, String> {
    if let Some(control) = args.control_listen
        && overlap(args.listen, control)
    {
        return Err(format!("--control-listen {control} is on the address of --listen: write another port"));
    }
    let mut config = Config::new(args.api.clone());
    config.api_http2 = args.api_http2;
    config.api_headers = args.api_header.concat();
    config.control_listener = args.control_listen.is_some();
    config.control_token = args.control_token.clone().map(Secret);
    config.origins = args.origin.clone();
    config.subprotocols = args.subprotocols.clone();
    config.refuse_in_band = args.refuse_in_band;
    config.on_duplicate = args.on_duplicate.into();
    config.on_api_failure = args.on_api_failure.into();
    config.calls_per_client = args.calls_per_client;
    config.max_message = args.max_message;
    config.max_connections = limits.clients;
    config.max_sockets = limits.sockets;
    config.max_api_connections = args.max_api_connections;
    config.max_idle_api_connections = args.max_idle_api_connections;
    config.send_queue = args.send_queue;
    config.receive_queue_messages = args.receive_queue;
    config.receive_queue_bytes = args.receive_queue_bytes;
    config.api_timeout = args.api_timeout;
    config.handshake_timeout = args.handshake_timeout;
    config.ping_interval = (!args.ping_interval.is_zero()).then_some(args.ping_interval);
    config.pong_timeout = args.pong_timeout;
    config.send_timeout = args.send_timeout;
    config.close_timeout = args.close_timeout;
    config.disconnect_retry = args.disconnect_retry;
    config.drain = args.drain;
    config.runtime = runtime;
    Ok(config)
}

/// The system would let both in and give a client to either.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_ip
}

/// How many shards: one per thread, but each needs a connection to the API.
pub(crate) fn shards(args: &Args) -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or_else(|| u16::try_from(cores).unwrap_or(u16::MAX));
    threads.min(u16::try_from(args.max_api_connections).unwrap_or(u16::MAX))
}
