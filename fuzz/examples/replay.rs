//! Judges single inputs without a fuzzer: `cargo run -p ws2http-fuzz --example replay -- TARGET FILE...`
//! This is how a finding is looked at.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().unwrap_or_default();
    let Some((_, judge)) = ws2http_fuzz::TARGETS.iter().find(|(name, _)| *name == target) else {
        let names: Vec<&str> = ws2http_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: replay TARGET FILE...\nthe targets: {}", names.join(" "));
        return ExitCode::from(2);
    };
    for file in arguments {
        match std::fs::read(&file) {
            Ok(data) => judge(&data),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
        println!("{file}: passed");
    }
    ExitCode::SUCCESS
}
