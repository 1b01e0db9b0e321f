//! The `ws2http-tokio` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ws2http_cli::main("tokio", ws2http_tokio::serve)
}
