//! Flags, environment, errors, profiles.

use crate::api::silent;
use crate::gateway::{Gateway, run_to_end};
use crate::rig::{Binary, words};

super::scenarios!["command_line":
    help_and_version,
    wrong_flags_end_with_2_and_a_remedy,
    the_environment_sets_flags_and_flags_win,
    a_taken_port_is_told,
    go_style_profiles_are_complete_after_ctrl_c,
    an_open_control_surface_is_warned_of,
];

async fn help_and_version(binary: Binary) {
    let help = run_to_end(binary.path(), &["--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    for word in ["--listen", "WS2HTTP_LISTEN", "--api", "--disconnect-retry", "Limits", "--demo"] {
        assert!(help.stdout.contains(word), "no {word} in {}", help.stdout);
    }
    let version = run_to_end(binary.path(), &["--version"], &[]).await;
    assert!(version.code == Some(0) && version.stdout.starts_with("ws2http-"), "{version:?}");
}

async fn wrong_flags_end_with_2_and_a_remedy(binary: Binary) {
    for (arguments, remedy) in [
        (&["--api", "ftp://x/"][..], "http://"),
        (&["--api-timeout", "10"], "10s"),
        (&["--max-message", "1MB"], "1MiB"),
        (&["--listen", "somewhere"], "HOST:PORT"),
        (&["--no-such-flag"], "--help"),
        (&["--log", "lo[ud"], "error, warn, info"),
        (&["--cpuprofile", "/no/such/folder/file"], "cannot write there"),
    ] {
        let ended = run_to_end(binary.path(), arguments, &[]).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(remedy), "{arguments:?}: {}", ended.stderr);
    }
}

async fn the_environment_sets_flags_and_flags_win(binary: Binary) {
    let api = crate::api::Api::start(silent);
    let env = [("WS2HTTP_API".to_owned(), format!("http://{}/env/", api.address)), ("WS2HTTP_MAX_MESSAGE".to_owned(), "10".to_owned())];
    let gateway = Gateway::start(binary.path(), &words("--max-message 20"), &env).await;
    let client = crate::client::Client::connect(gateway.public, "/a").await;
    assert_eq!(api.request("GET", "a", 0).await.path(), "/env/a");
    let push = |length: usize| async move { crate::http::request(gateway.control, "POST", "/a", &[], Some(&vec![b'x'; length])).await.status };
    assert_eq!((push(20).await, push(21).await), (200, 413));
    drop(client);
    api.settled().await;
}

async fn a_taken_port_is_told(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let address = rig.gateway.public.to_string();
    let ended = run_to_end(binary.path(), &["--listen", &address], &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--listen") && ended.stderr.contains(&address), "{}", ended.stderr);
    rig.finish().await;
}

async fn go_style_profiles_are_complete_after_ctrl_c(binary: Binary) {
    let folder = std::env::temp_dir().join(format!("ws2http-e2e-{}-{}", std::process::id(), fastrand::u64(..)));
    std::fs::create_dir(&folder).expect("a temporary folder");
    let (cpu, heap) = (folder.join("cpu.pprof"), folder.join("heap.pprof"));
    let flags = [format!("-cpuprofile={}", cpu.display()), format!("-memprofile={}", heap.display()), "-drain=0".to_owned()];
    let mut rig = binary.rig_with(&flags, crate::api::Api::start(silent), "/").await;
    let mut client = rig.connect("a").await;
    for number in 0..200 {
        client.send_text(&number.to_string()).await;
    }
    client.close(1000, "").await;
    rig.gateway.sigint();
    assert_eq!(rig.gateway.wait_exit().await.code(), Some(0));
    rig.api.settled().await;
    // The heap profile is gzip, the CPU profile a plain message that begins with its sample type.
    assert_eq!(std::fs::read(&heap).expect("a heap profile")[..2], [0x1f, 0x8b]);
    assert_eq!(std::fs::read(&cpu).expect("a CPU profile")[0], 0x0a);
    std::fs::remove_dir_all(&folder).expect("remove the folder");
}

async fn an_open_control_surface_is_warned_of(binary: Binary) {
    let warned = |gateway: &Gateway| gateway.log().iter().filter(|line| line.contains("anyone who reaches")).count();
    for (flags, warnings) in [("", 1), ("--control-token t", 0), ("--control-listen 127.0.0.1:0", 0)] {
        let rig = binary.rig(flags, silent).await;
        assert_eq!(warned(&rig.gateway), warnings, "{flags}");
    }
}
