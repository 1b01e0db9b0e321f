//! The command line and the environment.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use clap::error::ErrorKind;
use ws2http_core::{ApiAddress, Config};

use crate::{args, settings};

const PREFIX: &str = "WS2HTTP_";

/// Takes each line for an argument, or for a variable if it is `$NAME=VALUE` (`WS2HTTP_` is put before the
/// name; a CR stands for an LF). Wrong ones are explained, and the explanation names the flag; right ones give
/// settings within their limits, whose API address is read back as the same; one dash does what two do; and a
/// secret (`SECRET` in a value of `--control-token` or `--api-header`) is told nowhere.
///
/// Sets variables of the process: not for several threads at once.
///
/// # Panics
///
/// If any of this does not hold.
pub fn arguments(data: &[u8]) {
    let lines: Vec<Vec<u8>> = data.split(|byte| *byte == b'\n').map(|line| line.replace_cr()).collect();
    if lines.iter().any(|line| needs_a_resolver(line)) {
        return;
    }
    let (variables, arguments): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.first() == Some(&b'$'));
    let _set = Variables::set(&variables);
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from_vec).collect();
    let outcome = configuration(&arguments);
    let one_dash = configuration(&with_one_dash(&arguments));
    match (&outcome, one_dash) {
        (Ok(config), Ok(same)) => assert_eq!(format!("{config:?}"), format!("{same:?}")),
        (Err(error), Err(same)) => assert_eq!(error.kind(), same.kind()),
        (left, right) => panic!("two dashes: {left:?}\none dash: {right:?}"),
    }
    let told = match &outcome {
        Ok(config) => {
            check_limits(config);
            format!("{config:?}")
        }
        Err(error) => {
            check_explained(error, &arguments);
            error.to_string()
        }
    };
    if !arguments.iter().map(|argument| argument.as_bytes()).chain(variables.iter().map(Vec::as_slice)).any(gives_away)
    {
        assert!(!told.contains("SECRET"), "{told}");
    }
}

fn configuration(arguments: &[OsString]) -> Result<Config, clap::Error> {
    let args = args::parse("ws2http".to_owned(), std::iter::once("ws2http".into()).chain(arguments.iter().cloned()))?;
    let clients = args.max_connections.unwrap_or(1);
    let config = settings::config(&args, "fuzz", settings::Limits { clients, sockets: clients });
    config.map_err(|text| clap::Error::raw(ErrorKind::ArgumentConflict, text))
}

trait ReplaceCr {
    fn replace_cr(&self) -> Vec<u8>;
}

impl ReplaceCr for [u8] {
    fn replace_cr(&self) -> Vec<u8> {
        self.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect()
    }
}

/// Whether this may be an address with a host name: a fuzzer asks no name servers.
fn needs_a_resolver(line: &[u8]) -> bool {
    let value = line.iter().position(|byte| *byte == b'=').map_or(line, |at| &line[at + 1..]);
    [line, value].into_iter().any(|text| {
        let Some((host, port)) = std::str::from_utf8(text).ok().and_then(|text| text.rsplit_once(':')) else {
            return false;
        };
        let plain = host.is_empty() || host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        port.parse::<u16>().is_ok() && !plain
    })
}

/// Variables that are there for as long as this value.
struct Variables(Vec<OsString>);

impl Variables {
    /// Sets those that can be set.
    #[allow(unsafe_code)]
    fn set(lines: &[Vec<u8>]) -> Self {
        let mut names = Vec::new();
        for line in lines {
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (&line[1..at], &line[at + 1..]);
            if name.iter().chain(value).any(|byte| *byte == 0) {
                continue;
            }
            let name = [PREFIX.as_bytes(), name].concat();
            // SAFETY: the caller keeps to one thread, as `arguments` says.
            unsafe { std::env::set_var(OsStr::from_bytes(&name), OsStr::from_bytes(value)) };
            names.push(OsString::from_vec(name));
        }
        Variables(names)
    }
}

impl Drop for Variables {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.iter().for_each(|name| unsafe { std::env::remove_var(name) });
    }
}

/// The same with `-name` for `--name`.
fn with_one_dash(arguments: &[OsString]) -> Vec<OsString> {
    let mut verbatim = false;
    let shorten = |argument: &OsString| {
        let bytes = argument.as_bytes();
        verbatim |= bytes == b"--";
        let long = matches!(bytes, [b'-', b'-', a, b, ..] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic());
        OsStr::from_bytes(&bytes[usize::from(long && !verbatim)..]).to_owned()
    };
    arguments.iter().map(shorten).collect()
}

fn check_limits(config: &Config) {
    assert_eq!(ApiAddress::parse(&config.api.to_string()).as_ref(), Ok(&config.api));
    assert!(config.calls_per_client > 0 && config.max_message > 0 && config.send_queue > 0);
    assert!(config.receive_queue_messages > 0 && config.receive_queue_bytes > 0);
    assert!(config.max_connections > 0 && config.max_api_connections > 0);
    let times = [config.api_timeout, config.handshake_timeout, config.pong_timeout, config.send_timeout];
    let times = times.into_iter().chain([config.close_timeout]).chain(config.ping_interval);
    assert!(times.into_iter().all(|time| time > Duration::ZERO));
}

fn check_explained(error: &clap::Error, arguments: &[OsString]) {
    let text = error.to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return;
    }
    let explanation = text.replace("For more information, try '--help'.", "");
    let flag = explanation.contains("--") || explanation.contains(PREFIX);
    // Of short flags in one word, the first unknown one is told.
    let start = |argument: &OsString| argument.to_string_lossy().chars().take(2).collect::<String>();
    let quoted =
        |start: String| explanation.contains(&if start.is_empty() { "''".into() } else { format!("'{start}") });
    let unknown = arguments.iter().map(start).any(quoted);
    // What a terminal would obey is left out, and what comes after it with it.
    let obeyed = arguments.iter().any(|argument| argument.to_string_lossy().contains(char::is_control));
    assert!(flag || unknown || obeyed, "no flag is named: {text}");
}

/// Whether `SECRET` stands where it is no secret.
fn gives_away(line: &[u8]) -> bool {
    let secret = [&b"--control-token="[..], b"--api-header=", b"$CONTROL_TOKEN=", b"$API_HEADER="];
    let hidden = secret.iter().any(|start| line.starts_with(start));
    seen(&String::from_utf8_lossy(line)).contains("SECRET") && !hidden
}

/// Without characters that cannot be seen.
fn seen(text: &str) -> String {
    text.chars().filter(|char| !char.is_control() && !char.is_whitespace()).collect()
}
