//! What the ws2http binaries share: flags, logs, limits, signals, profiles, the demo.
//!
//! A binary is `ws2http_cli::main(NAME, serve)`; everything that differs between runtimes is in the
//! `serve` that it brings.

mod allocator;
mod args;
pub mod demo;
mod descriptors;
mod go_flags;
mod logging;
mod process;
mod profile;
mod reporter;
mod settings;
mod signals;
mod start;
mod units;
mod values;

pub use process::process_stats;
pub use reporter::Reporter;
pub use signals::Stop;
pub use start::{Setup, main};
