//! The end-to-end load generator of ws2http: holds connections, sends messages, checks every answer, and
//! measures what that costs a gateway. `load --help` says how.

mod api;
mod api_http2;
mod args;
mod churn;
mod client;
mod closed;
mod frame;
mod headline;
mod http;
mod idle;
mod interrupt;
mod latency;
mod link;
mod listen;
mod push;
mod pusher;
mod rate;
mod relay;
mod report;
mod rounds;
mod server;
mod stage;
mod swarm;
mod syscalls;
mod team;
mod usage;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser as _;

use args::{Args, Command, Serve};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    match &args.command {
        Command::Idle(args) => idle::run(args),
        Command::Closed(args) => closed::run(args),
        Command::Rate(args) => rate::run(args),
        Command::Push(args) => push::run(args),
        Command::Churn(args) => churn::run(args),
        Command::Headline(args) => headline::run(args),
        Command::Crowd(args) => headline::crowd::run(args),
        Command::Api(args) => serve(&args.serve, api::start(args.serve.listen, args.serve.threads)?),
        Command::Relay(args) => serve(&args.serve, relay::start(args.serve.listen, args.api, args.serve.threads)?),
    }
}

/// Says where it listens and waits for the end; the threads serve.
fn serve(args: &Serve, address: SocketAddr) -> Result<()> {
    println!("{}", server::listening_line(address));
    std::io::stdout().flush()?;
    let until = Instant::now() + args.seconds;
    if args.until_stdin_ends {
        std::thread::Builder::new().name("stdin".into()).spawn(|| {
            // Whether it ends or breaks: whoever started this is gone.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        })?;
    }
    interrupt::sleep_until(until)
}
