//! Section 10: the command line, its mistakes, and profiles.

use std::path::PathBuf;

use crate::api::{Api, echo};
use crate::gateway::{Gateway, run_to_end};
use crate::rig::{Binary, Rig, words};

super::scenarios!["command_line":
    help_names_every_flag, version, mistakes_are_explained, bad_api_addresses, port_in_use, open_push_port_is_warned_of,
    go_style_dashes, profiles_after_ctrl_c, profiles_after_sigterm, profile_that_cannot_be_written,
    secrets_stay_out_of_the_log, bad_environment,
];

const FLAGS: [&str; 33] = [
    "listen",
    "api",
    "api-http2",
    "control-listen",
    "control-token",
    "origin",
    "subprotocols",
    "refuse-in-band",
    "api-header",
    "demo",
    "on-duplicate",
    "on-api-failure",
    "calls-per-client",
    "max-message",
    "max-connections",
    "max-api-connections",
    "max-idle-api-connections",
    "threads",
    "api-timeout",
    "send-queue",
    "receive-queue",
    "receive-queue-bytes",
    "send-timeout",
    "close-timeout",
    "disconnect-retry",
    "handshake-timeout",
    "ping-interval",
    "pong-timeout",
    "drain",
    "log",
    "log-format",
    "cpuprofile",
    "memprofile",
];

async fn help_names_every_flag(binary: Binary) {
    for flag in ["--help", "-h"] {
        let ended = run_to_end(binary.path(), &[flag], &[]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told: Vec<_> = ended.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
        for name in FLAGS {
            assert!(told.contains(&format!("--{name}").as_str()), "{flag} does not tell of --{name}");
        }
    }
    let help = run_to_end(binary.path(), &["--help"], &[]).await.stdout;
    let words: Vec<_> = help.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    for name in FLAGS {
        let variable = format!("WS2HTTP_{}", name.replace('-', "_").to_uppercase());
        assert!(words.contains(&variable.as_str()), "--help does not tell of {variable}");
    }
}

async fn version(binary: Binary) {
    let ended = run_to_end(binary.path(), &["--version"], &[]).await;
    assert_eq!(ended.code, Some(0));
    let digits = ended.stdout.chars().any(|letter| letter.is_ascii_digit());
    assert!(ended.stdout.contains("ws2http") && digits, "{ended:?}");
}

async fn mistakes_are_explained(binary: Binary) {
    let cases: [(&[&str], &str); 20] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["stray"], "stray"),
        (&["--api-timeout", "10"], "10s"),
        (&["--api-timeout", "ten seconds"], "--api-timeout"),
        (&["--api-timeout", "-1s"], "-1"),
        (&["--api-timeout", "0s"], "--api-timeout"),
        (&["--max-message", "1MB"], "1MiB"),
        (&["--max-message", "99999999999999999999"], "--max-message"),
        (&["--max-message", "0"], "--max-message"),
        (&["--calls-per-client", "0"], "--calls-per-client"),
        (&["--max-connections", "many"], "--max-connections"),
        (&["--on-duplicate", "shrug"], "challenge"),
        (&["--on-api-failure", "shrug"], "keep"),
        (&["--listen", "nowhere"], "HOST:PORT"),
        (&["--listen", "127.0.0.1:99999"], "--listen"),
        (&["--origin", "not an origin"], "--origin"),
        (&["--api-header", "no colon"], "--api-header"),
        (&["--api-header", "Bad Name: x"], "--api-header"),
        (&["--api-header", "Content-Length: 5"], "--api-header"),
        (&["--drain"], "--drain"),
    ];
    for (arguments, mention) in cases {
        let ended = run_to_end(binary.path(), arguments, &[]).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(mention), "{arguments:?} should mention {mention}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

async fn bad_api_addresses(binary: Binary) {
    let addresses = [
        "", "localhost", "localhost:8000", "ftp://localhost/", "http://", "http:///path", "http://localhost:99999/",
        "http://localhost/?query", "http://localhost/#fragment", "http://user:secret@localhost/", "http://local host/",
        "http://[::1/", "ws://localhost/",
    ];
    for address in addresses {
        let ended = run_to_end(binary.path(), &["--listen", "127.0.0.1:0", "--api", address], &[]).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{address:?}: {ended:?}");
        assert!(ended.stderr.contains("--api"), "{address:?} should be explained: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

async fn port_in_use(binary: Binary) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--control-listen"] {
        let other = if flag == "--listen" { "--control-listen" } else { "--listen" };
        let arguments = [other, "127.0.0.1:0", flag, &address];
        let ended = run_to_end(binary.path(), &arguments, &[]).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.stderr.contains(&address), "the error names the address: {}", ended.stderr);
    }
}

async fn open_push_port_is_warned_of(binary: Binary) {
    let warned = |rig: &Rig| rig.gateway.log().iter().filter(|line| line.contains("WARN")).count();
    let open = binary.rig("", echo).await;
    assert_eq!(warned(&open), 1, "one clear warning: {:?}", open.gateway.log());
    for flags in ["--control-token x", "--control-listen 127.0.0.1:0"] {
        let rig = binary.rig(flags, echo).await;
        assert_eq!(warned(&rig), 0, "{flags}: {:?}", rig.gateway.log());
    }
}

async fn go_style_dashes(binary: Binary) {
    let api = Api::start(echo);
    let address = [format!("-api=http://{}/go/", api.address), "-max-message".into(), "10".into()];
    let gateway = Gateway::start(binary.path(), &address, &[]).await;
    let rig = Rig { gateway, api };
    let client = rig.connect("a").await;
    assert_eq!(rig.api.request("GET", "a", 0).await.path(), "/go/a");
    assert_eq!(rig.push("a", "12345678901").await.status, 413);
    drop(client);
    rig.finish().await;
}

/// A directory that goes with the scenario.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("ws2http-e2e-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover directory in the temporary place harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn profiles(binary: Binary, name: &str, end: fn(&Gateway)) {
    let scratch = Scratch::new(name);
    let (cpu, memory) = (scratch.file("cpu.pprof"), scratch.file("mem.pprof"));
    let flags = [format!("-cpuprofile={cpu}"), format!("-memprofile={memory}"), "--drain=0s".into()];
    let mut rig = binary.rig_with(&flags, Api::start(echo), "/").await;
    let mut client = rig.connect("a").await;
    for number in 0..300 {
        client.send_text(&number.to_string()).await;
        client.expect_text(&number.to_string()).await;
    }
    end(&rig.gateway);
    assert_eq!(client.expect_close().await.0, 1001);
    drop(client);
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    for file in [cpu, memory] {
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        // A profile is a protocol buffer whose first field is the sample type, gzipped or not.
        assert!(bytes.starts_with(&[0x1f, 0x8b]) || bytes[0] == 0x0a, "{file} is no pprof file");
        assert!(bytes.len() > 20, "{file} has {} bytes", bytes.len());
    }
    rig.api.settled().await;
}

async fn profiles_after_ctrl_c(binary: Binary) {
    profiles(binary, "ctrl-c", Gateway::sigint).await;
}

async fn profiles_after_sigterm(binary: Binary) {
    profiles(binary, "sigterm", Gateway::sigterm).await;
}

async fn profile_that_cannot_be_written(binary: Binary) {
    let scratch = Scratch::new("unwritable");
    for flag in ["--cpuprofile", "--memprofile"] {
        let file = scratch.file("missing/profile");
        let ended = run_to_end(binary.path(), &["--listen", "127.0.0.1:0", flag, &file], &[]).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
        assert!(ended.stderr.contains(&file), "the error names the file: {}", ended.stderr);
    }
}

async fn secrets_stay_out_of_the_log(binary: Binary) {
    let mut flags = words("--control-token t0ps3cret --log trace");
    flags.extend(["--api-header".to_owned(), "X-Key: t0ps3cret".to_owned()]);
    let mut rig = binary.rig_with(&flags, Api::start(echo), "/").await;
    rig.gateway.token = Some("t0ps3cret".into());
    let client = rig.connect("a").await;
    assert_eq!(rig.push("a", "x").await.status, 200);
    drop(client);
    rig.api.settled().await;
    let told = rig.gateway.log().into_iter().find(|line| line.contains("t0ps3cret"));
    assert_eq!(told, None);
    let help = run_to_end(binary.path(), &["--help"], &[("WS2HTTP_CONTROL_TOKEN", "t0ps3cret")]).await;
    assert!(!help.stdout.contains("t0ps3cret"), "--help shows the token");
}

async fn bad_environment(binary: Binary) {
    let ended = run_to_end(binary.path(), &[], &[("WS2HTTP_API_TIMEOUT", "soon")]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let named = ended.stderr.contains("WS2HTTP_API_TIMEOUT") || ended.stderr.contains("--api-timeout");
    assert!(named, "{}", ended.stderr);
}
