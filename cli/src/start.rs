//! The course of a binary: flags, logs, limits, profiles, demo, and then the runtime's `serve`.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use tracing::{Level, error, event_enabled, info, warn};
use ws2http_core::{ApiAddress, Config};

use crate::args::{self, Args};
use crate::demo::{self, Demo};
use crate::profile::Profiles;
use crate::reporter::Reporter;
use crate::signals::{self, Stop};
use crate::{descriptors, logging, settings};

/// Where the demo's API and page are, if that port is free.
const DEMO_PORT: u16 = 8000;

/// What a runtime needs to serve.
#[derive(Debug)]
pub struct Setup {
    /// The core's settings.
    pub config: Arc<Config>,
    /// The public listener's address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The control listener's address, if there is one.
    pub control_listen: Option<SocketAddr>,
    /// How many shards, each on a thread of its own.
    pub shards: u16,
    /// For all shards: from the operating system, new at each start.
    pub seed: [u8; 32],
    /// Takes the gateways' reports, and the news that the listeners are bound.
    pub reporter: Arc<Reporter>,
    /// Tells when to drain.
    pub stop: Stop,
}

/// The main function of the binary for `runtime`. `serve` runs the gateway until it is drained.
///
/// Exit codes: 0 after a drain, 1 for a failure or a second signal, 2 for wrong flags.
pub fn main(runtime: &'static str, serve: fn(Setup) -> io::Result<()>) -> ExitCode {
    let args = match args::parse(format!("ws2http-{runtime}"), std::env::args_os()) {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too, with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(text) = logging::start(&args.log, args.log_format) {
        return wrong_flags(runtime, &text);
    }
    match prepare(args, runtime) {
        Ok((setup, profiles)) => run(setup, &profiles, serve),
        Err(text) => wrong_flags(runtime, &text),
    }
}

fn wrong_flags(runtime: &str, text: &str) -> ExitCode {
    tell(format_args!("error: {text}\n\nFor more information, try 'ws2http-{runtime} --help'."));
    ExitCode::from(2)
}

/// Writes to standard error, if that can be done.
fn tell(text: fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(io::stderr(), "{text}");
}

fn prepare(mut args: Args, runtime: &'static str) -> Result<(Setup, Arc<Profiles>), String> {
    let demo = if args.demo { Some(start_demo(&mut args)?) } else { None };
    let limits = descriptors::raise(args.max_connections, args.max_api_connections, settings::shards(&args));
    let config = settings::config(&args, runtime, limits)?;
    let profiles = Arc::new(Profiles::start(args.cpuprofile.as_deref(), args.memprofile.as_deref())?);
    let reporter = Arc::new(Reporter::new(demo));
    let (profiles_at_end, reporter_at_end) = (profiles.clone(), reporter.clone());
    let at_end = move || {
        reporter_at_end.flush();
        profiles_at_end.finish();
    };
    let stop = signals::listen(at_end).map_err(|error| format!("cannot listen for signals: {error}"))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("the system gives no randomness: {error}"))?;
    if !config.control_listener && config.control_token.is_none() {
        warn!("anyone who reaches --listen can push to and kick clients: set --control-listen or --control-token");
    }
    info!(api = %config.api, version = env!("CARGO_PKG_VERSION"), runtime, "starting");
    let setup = Setup {
        config: Arc::new(config),
        listen: args.listen,
        control_listen: args.control_listen,
        shards: settings::shards(&args),
        seed,
        reporter,
        stop,
    };
    Ok((setup, profiles))
}

fn start_demo(args: &mut Args) -> Result<Arc<Demo>, String> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, DEMO_PORT));
    let started = demo::start(listen, args.control_token.clone());
    let demo = started.map_err(|error| format!("--demo: cannot start its API server: {error}"))?;
    let url = demo.api_url();
    args.api = ApiAddress::parse(&url).map_err(|error| format!("--demo: {error}"))?;
    args.max_api_connections = args.max_api_connections.min(demo::API_CONNECTIONS);
    Ok(Arc::new(demo))
}

fn run(setup: Setup, profiles: &Profiles, serve: fn(Setup) -> io::Result<()>) -> ExitCode {
    let reporter = setup.reporter.clone();
    let served = serve(setup);
    reporter.flush();
    profiles.finish();
    match served {
        Ok(()) => {
            info!("drained");
            ExitCode::SUCCESS
        }
        Err(error) => {
            if event_enabled!(Level::ERROR) {
                error!(%error, "cannot serve");
            } else {
                tell(format_args!("error: cannot serve: {error}"));
            }
            ExitCode::FAILURE
        }
    }
}
