//! The command line of the soak.

use std::path::PathBuf;

const USAGE: &str = "usage: soak --binary PATH [--minutes 30] [--seed N] [--clients 300] [-- GATEWAY FLAGS]";

/// What to do.
pub(crate) struct Options {
    pub(crate) binary: PathBuf,
    pub(crate) minutes: f64,
    pub(crate) seed: u64,
    pub(crate) clients: u32,
    pub(crate) flags: Vec<String>,
}

impl Options {
    pub(crate) fn from_arguments() -> Options {
        match parse(std::env::args().skip(1)) {
            Ok(options) => options,
            Err(wrong) => {
                eprintln!("{wrong}\n{USAGE}");
                std::process::exit(2);
            }
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut binary = None;
    let (mut minutes, mut seed, mut clients) = (30.0, fastrand::u64(..), 300);
    let mut flags = Vec::new();
    while let Some(name) = arguments.next() {
        if name == "--" {
            flags = arguments.collect();
            break;
        }
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let wrong = |_| format!("{name} {value} is no number");
        match name.as_str() {
            "--binary" => binary = Some(PathBuf::from(value)),
            "--minutes" => minutes = value.parse().map_err(|_| format!("{name} {value} is no number"))?,
            "--seed" => seed = value.parse().map_err(wrong)?,
            "--clients" => clients = value.parse().map_err(wrong)?,
            _ => return Err(format!("unknown flag {name}")),
        }
    }
    let binary = binary.ok_or("--binary is missing")?;
    Ok(Options { binary, minutes, seed, clients, flags })
}
