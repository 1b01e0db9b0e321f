//! The demo over plain HTTP.

mod support;

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use ureq::Agent;

use super::start;
use support::*;

#[test]
fn answers_503_until_the_gateway_listens() {
    let demo = start(ANY.parse().unwrap(), None).unwrap();
    for path in ["", "api/alice", "state"] {
        let answer = get(&demo, path);
        assert_eq!((answer.status, answer.header("Retry-After")), (503, "1"), "/{path}");
    }
    demo.gateway_listening(ANY.parse().unwrap(), None);
    assert_eq!(get(&demo, "").status, 200);
}

#[test]
fn lets_clients_in_and_notes_them_gone() {
    let demo = demo();
    let answer = connect(&demo, "alice", "c1");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(state(&demo, 0)["clients"], json!(["alice"]));
    close(&demo, "alice", "c1");
    let state = state(&demo, 0);
    assert_eq!(state["clients"], json!([]));
    assert_eq!((&state["counts"]["connects"], &state["counts"]["closes"]), (&json!(1), &json!(1)));
    assert_eq!(state["events"][1]["sent"], "4001 bye");
}

#[test]
fn refuses_banned_names_with_a_text() {
    let demo = demo();
    let answer = connect(&demo, "banned-bob", "c1");
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("banned"));
    let state = state(&demo, 0);
    assert_eq!((&state["clients"], &state["counts"]["refused"]), (&json!([]), &json!(1)));
    assert_eq!(state["events"][0]["status"], 403);
}

#[test]
fn refuses_clients_that_are_too_many() {
    let demo = demo();
    for n in 0..1000 {
        assert_eq!(connect(&demo, &format!("client-{n}"), "c").status, 200);
    }
    assert_eq!(connect(&demo, "alice", "c").text(), "the demo is full");
    assert_eq!(connect(&demo, "client-7", "again").text(), "ok");
}

#[test]
fn a_late_close_leaves_the_newer_connection() {
    let demo = demo();
    connect(&demo, "alice", "old");
    connect(&demo, "alice", "new");
    close(&demo, "alice", "old");
    assert_eq!(state(&demo, 0)["clients"], json!(["alice"]));
    close(&demo, "alice", "new");
    assert_eq!(state(&demo, 0)["clients"], json!([]));
}

#[test]
fn replies_to_messages() {
    let demo = demo();
    connect(&demo, "alice", "c1");
    connect(&demo, "%C3%A9ve%2F1", "c2");
    assert_eq!(say(&demo, "hi 👋"), "you said: hi 👋");
    assert_eq!(say(&demo, "/who"), "connected: alice, éve/1");
    assert_eq!(say(&demo, "/quiet"), "");
    assert!(say(&demo, "/help").contains("/who"));
    assert_eq!(say(&demo, "@nobody"), "you said: @nobody");
    let counts = &state(&demo, 0)["counts"];
    assert_eq!((&counts["messages"], &counts["replies"]), (&json!(5), &json!(4)));
}

#[test]
fn echoes_binary_messages_as_binary() {
    let demo = demo();
    let bytes = [0, 255, 1, 254];
    let headers = [("content-type", "Application/Octet-Stream")];
    let answer = post(&demo, "api/alice", &headers, &bytes);
    assert_eq!(answer.bytes, bytes);
    assert_eq!(answer.header("Content-Type"), "application/octet-stream");
    assert_eq!(state(&demo, 0)["events"][0]["sent"], "4 bytes of binary");
    assert_eq!(post(&demo, "api/alice", &[], &bytes).status, 400, "text that is not UTF-8");
}

#[test]
fn a_message_to_somebody_is_pushed() {
    let gateway = StandIn::start(ANY);
    let demo = demo_with(gateway.address, Some("secret"));
    assert_eq!(say(&demo, "@bob hi there 🚀"), "pushed to bob");
    let expected = Seen {
        line: "POST /bob".into(),
        kind: "text/plain; charset=utf-8".into(),
        authorization: "Bearer secret".into(),
        body: "alice: hi there 🚀".into(),
    };
    assert_eq!(gateway.next(), expected);
    assert_eq!(say(&demo, "@carol hi"), "carol is not connected");
    let counts = &state(&demo, 0)["counts"];
    assert_eq!((&counts["pushes"], &counts["undelivered"]), (&json!(1), &json!(1)));
}

#[test]
fn the_page_pushes_and_kicks() {
    let gateway = StandIn::start(ANY);
    let demo = demo_with(gateway.address, None);
    let headers = [("Content-Type", "application/octet-stream")];
    assert_eq!(post(&demo, "push/bob%20b%C3%A9", &headers, b"x").text(), "ok");
    let seen = gateway.next();
    assert_eq!((seen.line.as_str(), seen.kind.as_str()), ("POST /bob%20b%C3%A9", headers[0].1));
    assert_eq!(seen.authorization, "");
    post(&demo, "kick/bob?code=4001&reason=go%20%26%20rest", &[], b"");
    assert_eq!(gateway.next().line, "DELETE /bob?code=4001&reason=go%20%26%20rest");
    assert_eq!(post(&demo, "kick/carol?code=1000&reason=", &[], b"").status, 404);
    assert_eq!(state(&demo, 0)["counts"]["kicks"], 1);
}

#[test]
fn a_gateway_out_of_reach_is_told() {
    let demo = demo();
    let answer = post(&demo, "push/bob", &[], b"x");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("did not answer"), "{}", answer.text());
    assert!(say(&demo, "@bob hi").starts_with("not pushed to bob: 502"));
}

#[test]
fn other_sites_may_not_push() {
    let demo = demo();
    let page = demo.page_url();
    let own = page.trim_end_matches('/');
    for (origin, status) in [("http://evil.example", 403), ("null", 403), (own, 502)] {
        let answer = post(&demo, "push/bob", &[("Origin", origin)], b"x");
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[test]
fn large_answers_do_not_wait_for_acknowledgements() {
    let demo = demo();
    let agent: Agent = Agent::config_builder().proxy(None).build().into();
    let url = format!("{}page.css", demo.page_url());
    let mut took: Vec<Duration> = (0..40)
        .map(|_| {
            let start = Instant::now();
            agent.get(&url).call().unwrap().body_mut().read_to_vec().unwrap();
            start.elapsed()
        })
        .collect();
    took.sort();
    assert!(took[20] < Duration::from_millis(30), "kept-alive requests take {:?}", took[20]);
}

#[test]
fn events_are_numbered_and_bounded() {
    let demo = demo();
    for n in 0..250 {
        say(&demo, &format!("message {n}"));
    }
    let all = state(&demo, 0);
    assert_eq!((all["events"].as_array().unwrap().len(), &all["last"]), (200, &json!(250)));
    assert_eq!(all["events"][0]["n"], 51);
    let some = state(&demo, 248);
    let numbers: Vec<_> = some["events"].as_array().unwrap().iter().map(|e| &e["n"]).collect();
    assert_eq!(numbers, [249, 250]);
    assert_eq!(state(&demo, 9999)["events"], json!([]));
    say(&demo, &"é".repeat(1000));
    assert!(state(&demo, 250)["events"][0]["sent"].as_str().unwrap().len() < 500);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let demo = demo();
    let script = "text/javascript";
    let parts =
        [("", "text/html"), ("page.css", "text/css"), ("page.js", script), ("flow.js", script), ("watch.js", script)];
    for (path, kind) in parts {
        let answer = get(&demo, path);
        assert_eq!(answer.status, 200);
        assert!(answer.header("Content-Type").starts_with(kind));
        assert!(answer.header("Content-Security-Policy").starts_with("default-src 'none'"));
        let mut text = answer.text().to_owned();
        for own in ["http://www.w3.org/2000/svg", "ws://${location", "http://${control}"] {
            text = text.replace(own, "");
        }
        assert!(!text.contains("://") && !text.contains("//www"), "/{path} names another place");
    }
    assert_eq!(get(&demo, "elsewhere").status, 404);
}

#[test]
fn a_taken_port_is_no_obstacle() {
    let taken = TcpListener::bind(ANY).unwrap();
    let demo = start(taken.local_addr().unwrap(), None).unwrap();
    demo.gateway_listening(ANY.parse().unwrap(), None);
    assert_eq!(get(&demo, "").status, 200);
}

#[test]
fn urls_can_be_reached() {
    let demo = start("0.0.0.0:0".parse().unwrap(), None).unwrap();
    assert!(demo.page_url().starts_with("http://127.0.0.1:"));
    assert_eq!(demo.api_url(), format!("{}api/", demo.page_url()));
}

#[test]
fn speaks_ipv6() {
    if let Err(none) = TcpListener::bind("[::1]:0") {
        return eprintln!("not tested, this machine has no IPv6: {none}");
    }
    let gateway = StandIn::start("[::1]:0");
    let demo = start("[::]:0".parse().unwrap(), None).unwrap();
    demo.gateway_listening("[::]:1".parse().unwrap(), Some(gateway.address));
    assert!(demo.page_url().starts_with("http://[::1]:"));
    assert_eq!(post(&demo, "push/bob", &[], b"x").text(), "ok");
}

#[test]
fn stops_when_dropped() {
    let demo = demo();
    let address = demo.address;
    drop(demo);
    let gone = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        TcpListener::bind(address).is_ok()
    });
    assert!(gone, "the port is still in use");
}
