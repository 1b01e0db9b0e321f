//! Clients that vanish in every phase, and the one law that must hold: each connect that the API answered
//! with ok is followed by exactly one DELETE.

use std::time::Duration;

use crate::api::{Answer, Request, echo};
use crate::client::Client;
use crate::frame::{Frame, TEXT};
use crate::raw::{Raw, handshake};
use crate::rig::{Binary, Rig};
use crate::wait::Gate;

super::scenarios!["resets":
    in_the_head, while_the_api_decides, while_the_api_decides_then_refuses, right_after_the_101, within_a_frame,
    while_a_call_is_under_way, with_messages_waiting, in_the_closing_handshake, after_a_kick, control_connections,
];

#[derive(Clone, Copy, Debug)]
enum Way {
    Fin,
    HalfFin,
    Rst,
}

const WAYS: [Way; 3] = [Way::Fin, Way::HalfFin, Way::Rst];

/// Ends the connection. What is returned keeps its other half open.
async fn vanish(mut raw: Raw, way: Way) -> Option<Raw> {
    match way {
        Way::Fin => None,
        Way::HalfFin => {
            raw.half_close().await;
            Some(raw)
        }
        Way::Rst => {
            raw.reset();
            None
        }
    }
}

async fn works(rig: &Rig, id: &str) {
    let mut client = rig.connect(id).await;
    client.send_text("works").await;
    client.expect_text("works").await;
    client.close(1000, "").await;
}

async fn in_the_head(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let bytes = handshake("/a", &[]);
    for way in WAYS {
        for part in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
            let mut raw = rig.raw().await;
            raw.write(&bytes[..part]).await;
            vanish(raw, way).await;
        }
    }
    works(&rig, "b").await;
    assert_eq!(rig.api.seen_of("a").len(), 0, "half a handshake never reaches the API");
    rig.finish().await;
}

/// An API that holds each GET back.
fn hesitant(gate: &Gate, verdict: fn() -> Answer) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    let held = gate.clone();
    move |request| match request.method.as_str() {
        "GET" => verdict().after(held.opened()),
        _ => echo(request),
    }
}

async fn while_the_api_decides(binary: Binary) {
    for way in WAYS {
        let gate = Gate::new();
        let rig = binary.rig("", hesitant(&gate, Answer::ok)).await;
        let mut raw = rig.raw().await;
        raw.write(&handshake("/a", &[])).await;
        rig.api.request("GET", "a", 0).await;
        let rest = vanish(raw, way).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.open();
        let (code, _) = rig.api.disconnect("a").await;
        assert_eq!(code, 1006, "{way:?}");
        drop(rest);
        works(&rig, "a").await;
        rig.finish().await;
    }
}

async fn while_the_api_decides_then_refuses(binary: Binary) {
    let gate = Gate::new();
    let rig = binary.rig("", hesitant(&gate, || Answer::new(403, "no"))).await;
    let mut raw = rig.raw().await;
    raw.write(&handshake("/a", &[])).await;
    rig.api.request("GET", "a", 0).await;
    raw.reset();
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open();
    rig.api.settled().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.api.seen_of("a").len(), 1, "no DELETE of one that was never let in");
    rig.finish().await;
}

async fn right_after_the_101(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for way in WAYS {
        for round in 0..10 {
            let id = format!("{way:?}{round}");
            let raw = rig.open(&id).await;
            let rest = vanish(raw, way).await;
            assert_eq!(rig.api.disconnect(&id).await.0, 1006);
            drop(rest);
        }
    }
    rig.finish().await;
}

async fn within_a_frame(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let frame = Frame::new(TEXT, "x".repeat(300)).encode();
    for way in WAYS {
        for part in [1, 2, 5, 8, 100, frame.len() - 1] {
            let id = format!("{way:?}{part}");
            let mut raw = rig.open(&id).await;
            raw.write(&frame[..part]).await;
            let rest = vanish(raw, way).await;
            assert_eq!(rig.api.disconnect(&id).await.0, 1006);
            drop(rest);
        }
    }
    assert!(rig.api.seen().iter().all(|seen| seen.request.method != "POST"), "half a message is none");
    rig.finish().await;
}

async fn while_a_call_is_under_way(binary: Binary) {
    for way in WAYS {
        let gate = Gate::new();
        let held = gate.clone();
        let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
            "POST" => echo(request).after(held.opened()),
            _ => Answer::ok(),
        });
        let rig = rig.await;
        let mut raw = rig.open("a").await;
        raw.send(&Frame::new(TEXT, "m")).await;
        rig.api.request("POST", "a", 0).await;
        let rest = vanish(raw, way).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(rig.api.seen_of("a").len(), 2, "the DELETE waits for the call");
        gate.open();
        assert_eq!(rig.api.disconnect("a").await.0, 1006);
        drop(rest);
        works(&rig, "a").await;
        rig.finish().await;
    }
}

async fn with_messages_waiting(binary: Binary) {
    for way in WAYS {
        let rig = binary.rig("", |request: &Request| echo(request).delayed(Duration::from_millis(5))).await;
        let mut raw = rig.open("a").await;
        let messages: Vec<u8> = (0..30).flat_map(|number| Frame::new(TEXT, format!("{number}")).encode()).collect();
        raw.write(&messages).await;
        rig.api.request("POST", "a", 0).await;
        let rest = vanish(raw, way).await;
        rig.api.disconnect("a").await;
        let seen = rig.api.messages_of("a");
        let expected: Vec<String> = (0..seen.len()).map(|number| number.to_string()).collect();
        assert_eq!(seen, expected, "{way:?}: in order, none skipped");
        drop(rest);
        rig.finish().await;
    }
}

async fn in_the_closing_handshake(binary: Binary) {
    for way in WAYS {
        let gate = Gate::new();
        let held = gate.clone();
        let rig = binary.rig("", move |request: &Request| match request.method.as_str() {
            "DELETE" => Answer::ok().after(held.opened()),
            _ => echo(request),
        });
        let rig = rig.await;
        let mut raw = rig.open("a").await;
        raw.send(&Frame::close(4000, "bye")).await;
        assert_eq!(rig.api.disconnect("a").await, (4000, "bye".into()));
        let rest = vanish(raw, way).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.open();
        rig.api.settled().await;
        assert_eq!(rig.api.seen_of("a").len(), 2, "{way:?}: told once");
        drop(rest);
        rig.finish().await;
    }
}

async fn after_a_kick(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for way in WAYS {
        let id = format!("{way:?}");
        let raw = rig.open(&id).await;
        assert_eq!(rig.kick(&id, "?code=4000&reason=out").await.status, 200);
        let rest = vanish(raw, way).await;
        rig.api.disconnect(&id).await;
        drop(rest);
    }
    rig.finish().await;
}

async fn control_connections(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client: Client = rig.connect("a").await;
    let push = crate::http::encode("POST", "/a", &[], Some(b"0123456789"));
    for way in WAYS {
        for part in [1, push.len() / 2, push.len() - 1] {
            let mut raw = rig.raw().await;
            raw.write(&push[..part]).await;
            vanish(raw, way).await;
        }
    }
    assert!(client.is_quiet().await, "half a push is none");
    assert_eq!(rig.push("a", "whole").await.status, 200);
    client.expect_text("whole").await;
    drop(client);
    rig.finish().await;
}
