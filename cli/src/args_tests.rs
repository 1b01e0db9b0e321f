//! The flags as a user types them.

use super::*;
use crate::settings::Limits;

/// The core's own.
const LIMITS: Limits = Limits { clients: 1_000_000, sockets: usize::MAX };

fn parse(args: &[&str]) -> Result<Args, String> {
    let args = std::iter::once("ws2http").chain(args.iter().copied()).map(OsString::from);
    super::parse("ws2http-test".to_owned(), args).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_the_contracts() {
    let args = parse(&[]).unwrap();
    assert_eq!(args.listen.to_string(), "0.0.0.0:7001");
    assert_eq!(args.api.to_string(), "http://localhost:8000/");
    let config = crate::settings::config(&args, "test", LIMITS).unwrap();
    let mut expected = ws2http_core::Config::new(args.api.clone());
    expected.runtime = "test";
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
}

#[test]
fn wrong_values_are_told_with_flag_and_remedy() {
    for (args, flag, remedy) in [
        (&["--listen", "nonsense"][..], "--listen", "HOST:PORT"),
        (&["--api", "localhost:8000"], "--api", "http://"),
        (&["--api-timeout", "10"], "--api-timeout", "10s"),
        (&["--api-timeout", "0"], "--api-timeout", "at least 1ms"),
        (&["--max-message", "1MB"], "--max-message", "1MiB"),
        (&["--max-message", "0"], "--max-message", "at least 1"),
        (&["--max-connections", "0"], "--max-connections", "at least 1"),
        (&["--calls-per-client", "0"], "--calls-per-client", "1.."),
        (&["--on-duplicate", "fight"], "--on-duplicate", "challenge, reject, replace"),
        (&["--origin", "example.com"], "--origin", "scheme://host"),
        (&["--api-header", "nonsense"], "--api-header", "Name: value"),
        (&["--api-header", "Host: x"], "--api-header", "set by the gateway"),
        (&["--api-header", "X-Connection-Id: 1"], "--api-header", "another name"),
        (&["--control-token", ""], "--control-token", "visible ASCII"),
        (&["--threads", "0"], "--threads", "1.."),
        (&["--demo", "--api", "http://x/"], "--demo", "cannot be used with"),
        (&["--demo", "--api-http2"], "--demo", "cannot be used with"),
        (&["--pong-timout", "1s"], "--pong-timout", "--pong-timeout"),
    ] {
        let error = parse(args).unwrap_err();
        assert!(error.contains(flag) && error.contains(remedy), "{args:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_told_with_its_flag() {
    use std::os::unix::ffi::OsStringExt;
    for (args, flag) in [
        (&[&b"--log=\xff"[..]][..], "--log"),
        (&[b"--api", b"http://x/\xff"], "--api"),
        // Go-style, too.
        (&[b"-api-header=X: s3cret\xff"], "--api-header"),
    ] {
        let args = [&[&b"ws2http"[..]], args].concat().into_iter().map(|arg| OsString::from_vec(arg.to_vec()));
        let error = super::parse("ws2http-test".to_owned(), args).unwrap_err().to_string();
        assert!(error.contains(&format!("the value of {flag}\n")) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn go_style_dashes_work() {
    let args = parse(&["-cpuprofile=cpu.pprof", "-memprofile", "mem.pprof", "-listen=:7009"]).unwrap();
    assert_eq!(args.cpuprofile, Some(PathBuf::from("cpu.pprof")));
    assert_eq!(args.memprofile, Some(PathBuf::from("mem.pprof")));
    assert_eq!(args.listen.to_string(), "0.0.0.0:7009");
}

#[test]
fn lists_are_repeated_or_separated_by_commas() {
    let args = parse(&["--origin", "https://a.example,https://b.example", "--origin", "https://c.example"]).unwrap();
    assert_eq!(args.origin.len(), 3);
    assert_eq!(parse(&["--subprotocols", "v1, v2"]).unwrap().subprotocols, ["v1", "v2"]);
    assert_eq!(parse(&["--api-header", "A: 1, 2", "--api-header", "B: 3"]).unwrap().api_header.len(), 2);
}

#[test]
fn the_same_address_twice_is_told() {
    let told = |listen: &str, control: &str| {
        let args = parse(&["--listen", listen, "--control-listen", control]).unwrap();
        crate::settings::config(&args, "test", LIMITS).err()
    };
    for (listen, control) in
        [(":7001", ":7001"), (":7001", "127.0.0.1:7001"), ("[::1]:7001", "[::]:7001"), ("[::]:7001", "127.0.0.1:7001")]
    {
        let error = told(listen, control).unwrap();
        assert!(error.contains("--control-listen") && error.contains("another port"), "{error}");
    }
    for (listen, control) in [(":7001", ":7002"), ("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.2:7001", "127.0.0.1:7001")]
    {
        assert_eq!(told(listen, control), None, "{listen} {control}");
    }
}

#[test]
fn secrets_are_not_in_help_or_debug_output() {
    let args = parse(&["--api-header", "Authorization: s3cret"]).unwrap();
    assert!(!format!("{args:?}").contains("s3cret"));
    for wrong in
        [["--control-token", "s3cret with spaces"], ["--api-header", "s3cret"], ["--api-header", "Host: s3cret"]]
    {
        let error = parse(&wrong).unwrap_err();
        assert!(error.contains(wrong[0]) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn every_flag_has_its_variable_and_a_line_of_help() {
    let command = Args::command();
    let help = Args::command().render_long_help().to_string();
    for arg in command.get_arguments() {
        let name = arg.get_long().unwrap();
        if ["help", "version"].contains(&name) {
            continue;
        }
        let variable = format!("WS2HTTP_{}", name.to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "{name}");
        assert!(arg.get_help().is_some_and(|text| text.to_string().len() > 10), "{name}");
        assert!(help.contains(&format!("--{name}")) && help.contains(&variable), "{name}");
    }
}

#[test]
fn examples_are_of_the_program_that_tells_them() {
    let help = parse(&["--help"]).unwrap_err();
    assert!(help.contains("ws2http-test --demo") && !help.contains("ws2http-tokio"), "{help}");
}
