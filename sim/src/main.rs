//! `ws2http-sim`: runs and replays simulated worlds.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
