//! Section 7: one id, one connection.

use std::time::{Duration, Instant};

use crate::api::{Answer, Licence, Request, echo};
use crate::client::Heard;
use crate::frame::{Frame, PING, PONG, TEXT};
use crate::rig::Binary;
use crate::wait::Gate;

super::scenarios!["duplicates":
    challenge_and_the_old_one_lives, challenge_and_the_old_one_is_dead, challenge_and_the_old_one_talks,
    challenge_and_the_old_one_leaves, reject, replace, replace_refused_keeps_the_old_one, replace_waits_for_the_delete,
    replace_keeps_messages_apart, second_while_deciding, many_at_once,
];

async fn challenge_and_the_old_one_lives(binary: Binary) {
    let rig = binary.rig("--pong-timeout 10s", echo).await;
    let mut old = rig.open("a").await;
    let answer = async {
        let ping = old.frame().await;
        assert_eq!(ping.opcode, PING);
        old.send(&Frame::new(PONG, &ping.payload)).await;
    };
    let (refusal, ()) = tokio::join!(rig.refusal("a", &[]), answer);
    assert_eq!(refusal.status, 409, "{refusal:?}");
    assert_eq!(rig.api.seen_of("a").len(), 1, "the API is not asked about the second");
    old.send(&Frame::new(TEXT, "still here")).await;
    old.expect(TEXT, "still here").await;
    drop(old);
    rig.finish().await;
}

async fn challenge_and_the_old_one_is_dead(binary: Binary) {
    let rig = binary.rig("--pong-timeout 500ms", echo).await;
    let mut old = rig.open("a").await;
    let start = Instant::now();
    let mut new = rig.connect("a").await;
    assert!(start.elapsed() >= Duration::from_millis(450), "after {:?}", start.elapsed());
    assert_eq!(rig.api.disconnect("a").await, (1006, "ping timeout".into()));
    let methods: Vec<_> = rig.api.seen_of("a").iter().map(|seen| seen.request.method.clone()).collect();
    assert_eq!(methods, ["GET", "DELETE", "GET"]);
    assert_eq!(old.frame().await.opcode, PING);
    old.end().await;
    new.send_text("new").await;
    new.expect_text("new").await;
    drop(new);
    rig.finish().await;
}

async fn challenge_and_the_old_one_talks(binary: Binary) {
    // It does not answer the ping but sends something else: section 8 counts traffic as life.
    let rig = binary.rig("--pong-timeout 10s", echo).await;
    let mut old = rig.open("a").await;
    let talk = async {
        assert_eq!(old.frame().await.opcode, PING);
        old.send(&Frame::new(TEXT, "no pong but alive")).await;
        old.expect(TEXT, "no pong but alive").await;
    };
    let (refusal, ()) = tokio::join!(rig.refusal("a", &[]), talk);
    assert_eq!(refusal.status, 409, "{refusal:?}");
    drop(old);
    rig.finish().await;
}

async fn challenge_and_the_old_one_leaves(binary: Binary) {
    let rig = binary.rig("--pong-timeout 10s", echo).await;
    let mut old = rig.open("a").await;
    let leave = async {
        assert_eq!(old.frame().await.opcode, PING);
        old.reset();
    };
    let (mut new, ()) = tokio::join!(rig.connect("a"), leave);
    new.send_text("new").await;
    new.expect_text("new").await;
    drop(new);
    rig.finish().await;
}

async fn reject(binary: Binary) {
    let rig = binary.rig("--on-duplicate reject --pong-timeout 10s", echo).await;
    let mut old = rig.open("a").await;
    let start = Instant::now();
    assert_eq!(rig.refusal("a", &[]).await.status, 409);
    assert!(start.elapsed() < Duration::from_secs(5), "at once");
    assert!(old.is_quiet().await, "the old one is not bothered");
    assert_eq!(rig.api.seen_of("a").len(), 1);
    drop(old);
    rig.finish().await;
}

async fn replace(binary: Binary) {
    let rig = binary.rig("--on-duplicate replace", echo).await;
    rig.api.licence(Licence { replace: true, ..Licence::default() });
    let mut old = rig.connect("a").await;
    let (mut new, closed) = tokio::join!(rig.connect("a"), old.expect_close());
    assert_eq!(closed, (1008, "replaced".into()));
    assert_eq!(rig.api.disconnect("a").await, (1008, "replaced".into()));
    let seen = rig.api.seen_of("a");
    let methods: Vec<_> = seen.iter().map(|seen| seen.request.method.clone()).collect();
    assert_eq!(methods, ["GET", "GET", "DELETE"], "authorised first, then the old one ends");
    assert_eq!(seen[0].request.connection_id(), seen[2].request.connection_id());
    new.send_text("new").await;
    new.expect_text("new").await;
    assert_eq!(rig.push("a", "pushed").await.status, 200);
    new.expect_text("pushed").await;
    assert_eq!(old.next().await, Heard::Gone);
    drop(new);
    rig.finish().await;
}

async fn replace_refused_keeps_the_old_one(binary: Binary) {
    let rig = binary.rig("--on-duplicate replace", |request: &Request| match request.query() {
        Some("bad") => Answer::new(403, "no"),
        _ => echo(request),
    });
    let rig = rig.await;
    rig.api.licence(Licence { replace: true, ..Licence::default() });
    let mut old = rig.connect("a").await;
    assert_eq!(rig.refusal("a?bad", &[]).await.status, 403);
    old.send_text("still here").await;
    old.expect_text("still here").await;
    assert_eq!(rig.push("a", "pushed").await.status, 200);
    old.expect_text("pushed").await;
    drop(old);
    rig.finish().await;
}

async fn replace_waits_for_the_delete(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--on-duplicate replace", move |request: &Request| match request.method.as_str() {
        "DELETE" => Answer::ok().after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    rig.api.licence(Licence { replace: true, ..Licence::default() });
    let old = rig.connect("a").await;
    let mut raw = rig.raw().await;
    raw.write(&crate::raw::handshake("/a", &[])).await;
    rig.api.request("DELETE", "a", 0).await;
    assert!(raw.is_quiet().await, "no 101 before the DELETE of the old one is answered");
    gate.open();
    assert_eq!(raw.answer().await.status, 101);
    drop((old, raw));
    rig.finish().await;
}

async fn replace_keeps_messages_apart(binary: Binary) {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = binary.rig("--on-duplicate replace", move |request: &Request| match request.text().as_str() {
        "slow" => echo(request).after(held.opened()),
        _ => echo(request),
    });
    let rig = rig.await;
    rig.api.licence(Licence { replace: true, ..Licence::default() });
    let mut old = rig.connect("a").await;
    old.send_text("slow").await;
    rig.api.request("POST", "a", 0).await;
    let open = async {
        rig.api.request("GET", "a", 1).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        gate.open();
    };
    let (mut new, ()) = tokio::join!(rig.connect("a"), open);
    new.send_text("new").await;
    new.expect_text("new").await;
    drop((old, new));
    rig.finish().await;
}

async fn second_while_deciding(binary: Binary) {
    for policy in ["challenge", "reject", "replace"] {
        let gate = Gate::new();
        let held = gate.clone();
        let flags = format!("--on-duplicate {policy} --handshake-timeout 2s --pong-timeout 500ms");
        let rig = binary.rig(&flags, move |request: &Request| match request.method.as_str() {
            "GET" => Answer::ok().after(held.opened()),
            _ => echo(request),
        });
        let rig = rig.await;
        rig.api.licence(Licence { replace: policy == "replace", ..Licence::default() });
        let second = async {
            rig.api.request("GET", "a", 0).await;
            let second = rig.attempt("a", &[]);
            let open = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                gate.open();
            };
            tokio::join!(second, open).0
        };
        let (first, second) = tokio::join!(rig.attempt("a", &[]), second);
        let let_in = usize::from(first.is_ok()) + usize::from(second.is_ok());
        assert!(let_in >= 1, "{policy}: one of the two is let in");
        for refusal in [first.as_ref().err(), second.as_ref().err()].into_iter().flatten() {
            assert!([409, 503].contains(&refusal.status), "{policy}: {refusal:?}");
        }
        drop((first, second));
        rig.finish().await;
    }
}

async fn many_at_once(binary: Binary) {
    for policy in ["challenge", "reject", "replace"] {
        let flags = format!("--on-duplicate {policy} --pong-timeout 300ms");
        let rig = binary.rig(&flags, echo).await;
        rig.api.licence(Licence { replace: policy == "replace", ..Licence::default() });
        let attempts = (0..20).map(|_| rig.attempt("a", &[]));
        let clients = futures_util::future::join_all(attempts).await;
        for refusal in clients.iter().filter_map(|client| client.as_ref().err()) {
            assert!([409, 503].contains(&refusal.status), "{policy}: {refusal:?}");
        }
        assert!(clients.iter().any(Result::is_ok), "{policy}: at least one is let in");
        let connected = || async { rig.gateway.metrics().await.sum("active_connections") };
        assert!(connected().await <= 1.0, "{policy}: at most one of them is connected");
        drop(clients);
        rig.finish().await;
    }
}
