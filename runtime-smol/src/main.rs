//! The `ws2http-smol` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ws2http_cli::main("smol", ws2http_smol::serve)
}
