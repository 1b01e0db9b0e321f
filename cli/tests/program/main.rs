//! The course of a whole program, from flags to exit code.
//!
//! This file is both sides: the tests, and, when they start it again with `SERVE` set, a program
//! around `ws2http_cli::main` with a runtime that only waits.

mod runtime;
mod started;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use pprof::protos::{Message, Profile};
use rustix::process::Signal;
use started::{Ended, Started};

fn main() -> ExitCode {
    if std::env::var_os(runtime::SERVE).is_some() {
        return ws2http_cli::main("test", runtime::serve);
    }
    let tests: [(&str, fn()); 13] = [
        ("a_signal_drains", a_signal_drains),
        ("profiles_are_whole_after_ctrl_c", profiles_are_whole_after_ctrl_c),
        ("a_second_signal_ends_at_once", a_second_signal_ends_at_once),
        ("a_log_that_cannot_be_written_stops_nothing", a_log_that_cannot_be_written_stops_nothing),
        ("the_ports_are_in_the_log", the_ports_are_in_the_log),
        ("an_open_door_is_warned_of", an_open_door_is_warned_of),
        ("secrets_stay_secret", secrets_stay_secret),
        ("peers_cannot_write_the_log", peers_cannot_write_the_log),
        ("what_is_wrong_is_told_before_the_start", what_is_wrong_is_told_before_the_start),
        ("a_runtime_that_fails_is_told", a_runtime_that_fails_is_told),
        ("freed_memory_goes_back", freed_memory_goes_back),
        ("the_environment_sets_flags", the_environment_sets_flags),
        ("help_and_version_go_to_standard_output", help_and_version_go_to_standard_output),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ws2http-program-{}-{name}", std::process::id()))
}

fn a_signal_drains() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Started::new("wait", &[], &[]);
        program.wait_for("listening");
        program.signal(signal);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("draining") && ended.stderr.contains("drained"), "{}", ended.stderr);
    }
}

/// Reads what both flags wrote, and removes it.
fn profiles(cpu: &PathBuf, heap: &PathBuf) -> Profile {
    let profile = Profile::decode(&fs::read(cpu).unwrap()[..]).unwrap();
    let mut unpacked = Vec::new();
    let packed = fs::read(heap).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    let of_heap = Profile::decode(&unpacked[..]).unwrap();
    assert!(!of_heap.sample.is_empty());
    fs::remove_file(cpu).unwrap();
    fs::remove_file(heap).unwrap();
    profile
}

fn profiles_are_whole_after_ctrl_c() {
    let (cpu, heap) = (path("c.cpu"), path("c.heap"));
    let flags = [format!("-cpuprofile={}", cpu.display()), format!("-memprofile={}", heap.display())];
    let mut program = Started::new("work", &[&flags[0], &flags[1]], &[]);
    program.wait_for("listening");
    program.signal(Signal::INT);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let profile = profiles(&cpu, &heap);
    assert!(profile.string_table.iter().any(|name| name.contains("work_hard")), "{:?}", profile.string_table);
}

fn a_second_signal_ends_at_once() {
    let (cpu, heap) = (path("s.cpu"), path("s.heap"));
    let flags = [format!("--cpuprofile={}", cpu.display()), format!("--memprofile={}", heap.display())];
    let mut program = Started::new("hang", &[&flags[0], &flags[1]], &[]);
    program.wait_for("listening");
    program.signal(Signal::TERM);
    program.wait_for("draining");
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
    // What was held back is told here too.
    assert!(ended.stderr.contains("2 more, the last:"), "{}", ended.stderr);
    let profile = profiles(&cpu, &heap);
    assert!(profile.string_table.iter().any(|name| name.contains("work_hard")), "{:?}", profile.string_table);
}

fn a_log_that_cannot_be_written_stops_nothing() {
    let mut program = Started::without_log("wait", &[]);
    program.wait_for("refuse_in_band");
    program.signal(Signal::TERM);
    assert_eq!(program.end().code, Some(0));
    for (flags, code) in [(&["--no-such-flag"][..], 2), (&["--log", "verbose"], 2)] {
        assert_eq!(Started::without_log("wait", flags).end().code, Some(code), "{flags:?}");
    }
}

fn the_ports_are_in_the_log() {
    for (flags, control) in [(&[][..], false), (&["--control-listen", "127.0.0.1:0"], true)] {
        let mut program = Started::new("wait", &[flags, &["--log-format", "json"]].concat(), &[]);
        let line = program.wait_for("\"listening\"");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = &line["fields"];
        assert_eq!(fields["message"], "listening");
        let port = |name: &str| fields[name].as_str().map(|text| text.parse::<std::net::SocketAddr>().unwrap().port());
        assert!(port("public").unwrap() > 0, "{line}");
        assert_eq!(port("control").is_some(), control, "{line}");
        program.signal(Signal::TERM);
        // Every line is JSON.
        for line in program.end().stderr.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

fn an_open_door_is_warned_of() {
    for (flags, warned) in
        [(&[][..], 1), (&["--control-listen", "127.0.0.1:0"], 0), (&["--control-token", "s3cret"], 0)]
    {
        let mut program = Started::new("wait", flags, &[]);
        program.wait_for("listening");
        program.signal(Signal::TERM);
        let log = program.end().stderr;
        assert_eq!(log.matches("anyone who reaches").count(), warned, "{flags:?}: {log}");
    }
}

fn secrets_stay_secret() {
    let variables = [("WS2HTTP_CONTROL_TOKEN", "s3cret"), ("WS2HTTP_API_HEADER", "Authorization: s3cret")];
    let mut program = Started::new("wait", &["--log", "trace"], &variables);
    program.wait_for("listening");
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(ended.code == Some(0) && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
    for wrong in [("WS2HTTP_CONTROL_TOKEN", "s3cret s3cret"), ("WS2HTTP_API_HEADER", "s3cret")] {
        let ended = Started::new("wait", &[], &[wrong]).end();
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3cret") && ended.stderr.contains("--"), "{}", ended.stderr);
    }
    let help = Started::new("wait", &["--help"], &variables).end();
    assert!(!help.stdout.contains("s3cret"), "{}", help.stdout);
}

fn peers_cannot_write_the_log() {
    let mut program = Started::new("hang", &[], &[]);
    program.wait_for("a call to the API failed");
    program.kill();
    let log = program.end().stderr;
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(!log.contains('\x1b'), "{log:?}");
    assert!(log.contains("\\nFORGED"), "{log}");
}

fn what_is_wrong_is_told_before_the_start() {
    for (flags, told) in [
        (&["--api", "localhost:8000"][..], &["--api", "http://"][..]),
        (&["--log", "verbose"], &["--log", "verbose", "info"]),
        (&["--cpuprofile", "/no/such/x"], &["--cpuprofile", "/no/such/x", "writable folder"]),
        (&["--memprofile", "/no/such/x"], &["--memprofile", "/no/such/x", "writable folder"]),
        (&["--control-listen", "127.0.0.1:7001", "--listen", ":7001"], &["--control-listen", "another port"]),
        (&["--demo", "--api", "http://localhost/"], &["--demo", "--api"]),
        (&["--no-such-flag"], &["--no-such-flag", "--help"]),
    ] {
        let Ended { code, stdout, stderr } = Started::new("wait", flags, &[]).end();
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        assert!(told.iter().all(|text| stderr.contains(text)), "{flags:?}: {stderr}");
        assert!(stdout.is_empty() && !stderr.contains("listening"), "{flags:?}: {stdout}{stderr}");
    }
}

fn a_runtime_that_fails_is_told() {
    for flags in [&[][..], &["--log", "off"], &["--log", "somebody=debug"]] {
        let ended = Started::new("fail", flags, &[]).end();
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert_eq!(ended.stderr.matches("cannot serve").count(), 1, "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("no luck"), "{flags:?}: {}", ended.stderr);
    }
}

fn freed_memory_goes_back() {
    let ended = Started::new("free", &[], &[]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

fn the_environment_sets_flags() {
    for (variables, shown) in [
        (&[("WS2HTTP_REFUSE_IN_BAND", "1"), ("WS2HTTP_PING_INTERVAL", "0")][..], "refuse_in_band=true ping=None"),
        (&[("WS2HTTP_REFUSE_IN_BAND", "false"), ("WS2HTTP_PING_INTERVAL", "7s")], "refuse_in_band=false ping=Some(7s)"),
        // As a block of YAML ends.
        (&[("WS2HTTP_API_HEADER", "A: 1\r\n\nB: 2\n")], r#"headers=["a", "b"]"#),
    ] {
        let mut program = Started::new("wait", &[], variables);
        program.wait_for("listening");
        program.signal(Signal::TERM);
        let ended = program.end();
        assert!(ended.stdout.contains(shown), "{} {}", ended.stdout, ended.stderr);
    }
    // A switch that is off is in nobody's way.
    for (flags, variables) in [
        (&["--api", "http://localhost/"][..], &[("WS2HTTP_DEMO", "false")][..]),
        (&[], &[("WS2HTTP_DEMO", "0"), ("WS2HTTP_API", "http://localhost/")]),
        (&["--demo"], &[("WS2HTTP_API_HTTP2", "false")]),
    ] {
        let mut program = Started::new("wait", flags, variables);
        program.wait_for("listening");
    }
    for variables in [
        [("WS2HTTP_DEMO", "true"), ("WS2HTTP_API", "http://localhost/")],
        [("WS2HTTP_DEMO", "true"), ("WS2HTTP_API_HTTP2", "true")],
    ] {
        let ended = Started::new("wait", &[], &variables).end();
        assert!(ended.code == Some(2) && ended.stderr.contains("cannot be used with '--api"), "{}", ended.stderr);
    }
    let ended = Started::new("wait", &[], &[("WS2HTTP_API_TIMEOUT", "10")]).end();
    assert!(ended.code == Some(2) && ended.stderr.contains("--api-timeout"), "{}", ended.stderr);
}

fn help_and_version_go_to_standard_output() {
    for flag in ["-h", "--help", "-help"] {
        let ended = Started::new("wait", &[flag], &[]).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let headings = ["Addresses:", "Who may connect", "Messages:", "Limits:", "Timing:", "Operation:", "Examples:"];
        assert!(headings.iter().all(|heading| ended.stdout.contains(heading)), "{}", ended.stdout);
    }
    for flag in ["-V", "--version", "-version"] {
        let ended = Started::new("wait", &[flag], &[]).end();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let version = ended.stdout.trim().strip_prefix("ws2http-test 0.1.0 (").and_then(|rest| rest.strip_suffix(')'));
        assert!(version.is_some_and(|commit| commit == "unknown" || commit.len() >= 7), "{}", ended.stdout);
    }
}
