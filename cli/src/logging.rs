//! Logs on standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// An HTTP client's own log of every failed call: the reporter tells of these, without flooding.
const SILENCED: &str = "isahc=off";

/// Starts logging; an error says what is wrong with `--log`.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(read(filter)?)
        .with_writer(io::stderr)
        .with_target(false)
        // A line that cannot be written is told there too, which would be a panic: nobody reads, or the disk is full.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: String| {
        format!(
            "--log {filter:?}: {why}: write a level (off, error, warn, info, debug, trace), or a filter such as \
             info,ws2http=debug"
        )
    };
    // A misspelt level would be taken for the name of a module, and everything else be silent.
    for part in filter.split(',').map(str::trim) {
        if !part.contains(['=', '[']) && (part.is_empty() || part.parse::<LevelFilter>().is_err()) {
            return Err(wrong(format!("{part:?} is no level")));
        }
    }
    // What comes later wins: who names it hears it.
    EnvFilter::try_new(format!("{SILENCED},{filter}")).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_read() {
        for filter in ["info", "WARN", "off", "info,ws2http=debug", "ws2http_tokio=trace"] {
            assert!(read(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn an_http_client_is_heard_only_if_it_is_named() {
        assert!(read("trace").unwrap().to_string().contains("isahc=off"));
        let named = read("info,isahc=debug").unwrap().to_string();
        assert!(named.contains("isahc=debug") && !named.contains("isahc=off"), "{named}");
    }

    #[test]
    fn wrong_filters_are_told_with_the_remedy() {
        for filter in ["", "verbose", "info,loud", "ws2http=loud", "info,,"] {
            let error = read(filter).unwrap_err();
            assert!(error.contains("--log") && error.contains(filter) && error.contains("trace"), "{error}");
        }
    }
}
