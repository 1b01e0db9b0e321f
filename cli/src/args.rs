//! The flags, as `--help` tells them (contract, section 10).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use ws2http_core::{ApiAddress, OnApiFailure, OnDuplicate, OriginPattern};

use crate::go_flags;
use crate::units::duration;
use crate::values::{Headers, address, count, headers, protocol, some_size, some_time, token};

const INTRO: &str = "\
A gateway between WebSockets and plain HTTP.

  client --[connect]--> gateway --[GET /<ClientId>]-----> your API: \"ok\" lets it in
  client --[message]--> gateway --[POST /<ClientId>]----> your API
  client <--[message]-- gateway <--[its answer's body]--- your API
  client <--[message]-- gateway <--[POST /<ClientId>]---- your API, at any time
  client --[close]----> gateway --[DELETE /<ClientId>]--> your API, once";

/// With the commit, for bug reports.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("WS2HTTP_COMMIT"), ")");

const OUTRO: &str = "\
Examples:
  See it work in a browser:     ws2http-tokio --demo
  In front of an API server:    ws2http-tokio --api http://localhost:8000/wsoverhttp/
  Pushes from inside only:      ws2http-tokio --control-listen 127.0.0.1:7002

Durations are written 500ms, 10s, 5m; sizes as bytes or 64KiB, 1MiB. Every flag has an environment
variable (a switch takes true or false there); the flag wins. Long flags may also be written with one dash, as Go programs have them.";

/// Every flag; its help text is its documentation.
#[derive(Debug, Parser)]
#[command(about = INTRO, after_help = OUTRO, version = VERSION, disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Args {
    /// Where WebSocket clients (and, without --control-listen, control requests) come in
    #[arg(long, env = "WS2HTTP_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:7001", value_parser = address, help_heading = ADDRESSES)]
    pub(crate) listen: SocketAddr,
    /// The API server; the ClientId is appended to its path
    #[arg(long, env = "WS2HTTP_API", value_name = "URL", default_value = "http://localhost:8000/", value_parser = ApiAddress::parse, help_heading = ADDRESSES)]
    pub(crate) api: ApiAddress,
    /// Call the API by HTTP/2: many calls share a connection, which costs less of the processor. The API must take it
    /// unasked ('prior knowledge', h2c) with http, and by ALPN (h2) with https; --max-api-connections then counts calls
    #[arg(long, env = "WS2HTTP_API_HTTP2", value_parser = BoolishValueParser::new(), help_heading = ADDRESSES)]
    pub(crate) api_http2: bool,
    /// A listener of its own for push, kick, HEAD, metrics and health; the public one then answers these with 404
    #[arg(long, env = "WS2HTTP_CONTROL_LISTEN", value_name = "ADDR", value_parser = address, help_heading = ADDRESSES)]
    pub(crate) control_listen: Option<SocketAddr>,
    /// Header for every call to the API, as 'Name: value'; may be repeated (in the environment: one a line, where
    /// other users of the machine do not see it)
    #[arg(long, env = "WS2HTTP_API_HEADER", hide_env_values = true, value_name = "HEADER", value_parser = headers, help_heading = ADDRESSES)]
    pub(crate) api_header: Vec<Headers>,
    /// Start an API server and a web page that show the gateway at work, instead of using --api
    #[arg(long, env = "WS2HTTP_DEMO", value_parser = BoolishValueParser::new(), help_heading = ADDRESSES)]
    pub(crate) demo: bool,

    /// Push, kick and HEAD need 'Authorization: Bearer TOKEN' (prefer the environment: others can see your flags)
    #[arg(long, env = "WS2HTTP_CONTROL_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = token, help_heading = WHO)]
    pub(crate) control_token: Option<String>,
    /// Web pages that may connect, as https://example.com or https://*.example.com; comma-separated or repeated; without it, all may
    #[arg(long, env = "WS2HTTP_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = OriginPattern::parse, help_heading = WHO)]
    pub(crate) origin: Vec<OriginPattern>,
    /// Subprotocols to pick from, comma-separated, when the API's answer names none
    #[arg(long, env = "WS2HTTP_SUBPROTOCOLS", value_name = "NAMES", value_delimiter = ',', value_parser = protocol, help_heading = WHO)]
    pub(crate) subprotocols: Vec<String>,
    /// What a second connect with a connected id does: challenge pings the old one and refuses the new one if it
    /// answers; reject refuses at once; replace closes the old one once the API has let the new one in
    #[arg(long, env = "WS2HTTP_ON_DUPLICATE", value_name = "POLICY", value_enum, default_value = "challenge", help_heading = WHO)]
    pub(crate) on_duplicate: Duplicate,
    /// Refuse inside the WebSocket, with a close code and reason that browsers can read
    #[arg(long, env = "WS2HTTP_REFUSE_IN_BAND", value_parser = BoolishValueParser::new(), help_heading = WHO)]
    pub(crate) refuse_in_band: bool,

    /// Message calls of one client under way at once; more than 1 gives up their order
    #[arg(long, env = "WS2HTTP_CALLS_PER_CLIENT", value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..), help_heading = MESSAGES)]
    pub(crate) calls_per_client: u32,
    /// What a failed message call does to its client: keep it or close it (1011)
    #[arg(long, env = "WS2HTTP_ON_API_FAILURE", value_name = "POLICY", value_enum, default_value = "keep", help_heading = MESSAGES)]
    pub(crate) on_api_failure: ApiFailure,
    /// Largest message, push or API answer
    #[arg(long, env = "WS2HTTP_MAX_MESSAGE", value_name = "SIZE", default_value = "1MiB", value_parser = some_size, help_heading = MESSAGES)]
    pub(crate) max_message: usize,
    /// Bytes that may wait for one client to read them (a message counts 64 more); a push beyond is answered 503
    #[arg(long, env = "WS2HTTP_SEND_QUEUE", value_name = "SIZE", default_value = "1MiB", value_parser = some_size, help_heading = MESSAGES)]
    pub(crate) send_queue: usize,
    /// Messages of one client that may wait for the API; then its socket is not read
    #[arg(long, env = "WS2HTTP_RECEIVE_QUEUE", value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..), help_heading = MESSAGES)]
    pub(crate) receive_queue: u32,
    /// The same limit in bytes; one message is always let in
    #[arg(long, env = "WS2HTTP_RECEIVE_QUEUE_BYTES", value_name = "SIZE", default_value = "1MiB", value_parser = some_size, help_heading = MESSAGES)]
    pub(crate) receive_queue_bytes: usize,

    /// Clients at once; one more is answered 503 [default: what the descriptor limit allows]
    #[arg(long, env = "WS2HTTP_MAX_CONNECTIONS", value_name = "N", value_parser = count, help_heading = LIMITS)]
    pub(crate) max_connections: Option<usize>,
    /// Connections to the API at once; further calls wait
    #[arg(long, env = "WS2HTTP_MAX_API_CONNECTIONS", value_name = "N", default_value = "10000", value_parser = count, help_heading = LIMITS)]
    pub(crate) max_api_connections: usize,
    /// Idle connections to the API that are kept
    #[arg(long, env = "WS2HTTP_MAX_IDLE_API_CONNECTIONS", value_name = "N", default_value = "1000", help_heading = LIMITS)]
    pub(crate) max_idle_api_connections: usize,
    /// Threads, each with its share of the clients [default: one per core]
    #[arg(long, env = "WS2HTTP_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = LIMITS)]
    pub(crate) threads: Option<u16>,

    /// How long one call to the API may take; what it answers later counts for nothing
    #[arg(long, env = "WS2HTTP_API_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = some_time, help_heading = TIMING)]
    pub(crate) api_timeout: Duration,
    /// How long a request head may take, a body may make no progress, a reconnect may wait for its predecessor's DELETE
    #[arg(long, env = "WS2HTTP_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = some_time, help_heading = TIMING)]
    pub(crate) handshake_timeout: Duration,
    /// A client quiet for so long is pinged; 0 never pings
    #[arg(long, env = "WS2HTTP_PING_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration, help_heading = TIMING)]
    pub(crate) ping_interval: Duration,
    /// How long the pong may take
    #[arg(long, env = "WS2HTTP_PONG_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = some_time, help_heading = TIMING)]
    pub(crate) pong_timeout: Duration,
    /// A client whose send queue makes no progress for so long is dropped
    #[arg(long, env = "WS2HTTP_SEND_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = some_time, help_heading = TIMING)]
    pub(crate) send_timeout: Duration,
    /// How long the closing handshake may take
    #[arg(long, env = "WS2HTTP_CLOSE_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = some_time, help_heading = TIMING)]
    pub(crate) close_timeout: Duration,
    /// How long a DELETE that the API did not take is repeated
    #[arg(long, env = "WS2HTTP_DISCONNECT_RETRY", value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = TIMING)]
    pub(crate) disconnect_retry: Duration,
    /// Over how long SIGTERM or Ctrl-C spreads the closes of all clients
    #[arg(long, env = "WS2HTTP_DRAIN", value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = TIMING)]
    pub(crate) drain: Duration,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,ws2http=debug
    #[arg(long, env = "WS2HTTP_LOG", value_name = "LEVEL", default_value = "info", help_heading = OPERATION)]
    pub(crate) log: String,
    /// How to log it, on standard error
    #[arg(long, env = "WS2HTTP_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "text", help_heading = OPERATION)]
    pub(crate) log_format: LogFormat,
    /// Write a CPU profile for pprof, complete at the end or after Ctrl-C
    #[arg(long, env = "WS2HTTP_CPUPROFILE", value_name = "FILE", help_heading = OPERATION)]
    pub(crate) cpuprofile: Option<PathBuf>,
    /// Write a heap profile for pprof, at the end or after Ctrl-C
    #[arg(long, env = "WS2HTTP_MEMPROFILE", value_name = "FILE", help_heading = OPERATION)]
    pub(crate) memprofile: Option<PathBuf>,
    /// Print this help
    #[arg(long, short = 'h', action = clap::ArgAction::Help, help_heading = OPERATION)]
    help: Option<bool>,
    /// Print the version
    #[arg(long, short = 'V', action = clap::ArgAction::Version, help_heading = OPERATION)]
    version: Option<bool>,
}

const ADDRESSES: &str = "Addresses";
const WHO: &str = "Who may connect, who may push";
const MESSAGES: &str = "Messages";
const LIMITS: &str = "Limits";
const TIMING: &str = "Timing";
const OPERATION: &str = "Operation";

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Duplicate {
    Challenge,
    Reject,
    Replace,
}

impl From<Duplicate> for OnDuplicate {
    fn from(policy: Duplicate) -> Self {
        match policy {
            Duplicate::Challenge => OnDuplicate::Challenge,
            Duplicate::Reject => OnDuplicate::Reject,
            Duplicate::Replace => OnDuplicate::Replace,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ApiFailure {
    Keep,
    Close,
}

impl From<ApiFailure> for OnApiFailure {
    fn from(policy: ApiFailure) -> Self {
        match policy {
            ApiFailure::Keep => OnApiFailure::Keep,
            ApiFailure::Close => OnApiFailure::Close,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Reads the command line and the environment. Help and version come as errors too.
pub(crate) fn parse(program: String, args: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let examples = OUTRO.replace("ws2http-tokio", &program);
    let command = Args::command().after_help(examples).name(program.clone()).bin_name(program);
    let args = go_flags::normalise(args);
    let matches = command.clone().try_get_matches_from(&args).map_err(|error| match error.kind() {
        ErrorKind::InvalidUtf8 => not_utf8(&command, &args),
        _ => hide_secrets(error),
    })?;
    let args = Args::from_arg_matches(&matches)?;
    let api = matches.value_source("api").is_some_and(|source| source != ValueSource::DefaultValue);
    // Not clap's conflicts: a switch that is off in the environment conflicts with nothing.
    for (other, given) in [("--api <URL>", api), ("--api-http2", args.api_http2)] {
        if args.demo && given {
            let text = format!("the argument '--demo' cannot be used with '{other}'");
            return Err(command.clone().error(ErrorKind::ArgumentConflict, text));
        }
    }
    Ok(args)
}

/// clap tells that a value is not UTF-8, but not whose.
fn not_utf8(command: &clap::Command, args: &[OsString]) -> clap::Error {
    let broken = |text: &OsString| text.to_str().is_none();
    let variables = command.get_arguments().filter_map(|flag| flag.get_env());
    let variables = variables.filter(|name| std::env::var_os(name).as_ref().is_some_and(broken));
    let mut names: Vec<String> = variables.map(|name| name.to_string_lossy().into_owned()).collect();
    for (before, text) in args.iter().zip(args.iter().skip(1)).filter(|(_, text)| broken(text)) {
        let text = text.to_string_lossy();
        let flag = if text.starts_with("--") { text } else { before.to_string_lossy() };
        // Not the value: it may be a secret.
        names.push(flag.split('=').next().unwrap_or_default().to_owned());
    }
    command.clone().error(ErrorKind::InvalidUtf8, format!("not UTF-8: the value of {}", names.join(", ")))
}

/// An error tells the wrong value, but what ends up in a log must not tell a secret.
fn hide_secrets(mut error: clap::Error) -> clap::Error {
    let of_secret = error.get(ContextKind::InvalidArg).is_some_and(|flag| {
        let flag = flag.to_string();
        ["--control-token", "--api-header"].iter().any(|secret| flag.starts_with(secret))
    });
    if of_secret && error.get(ContextKind::InvalidValue).is_some() {
        error.insert(ContextKind::InvalidValue, ContextValue::String("(hidden)".to_owned()));
    }
    error
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
