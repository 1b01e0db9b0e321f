//! Section 2: what a ClientId is, and what it cannot do.

use crate::api::echo;
use crate::http;
use crate::raw::{Raw, handshake};
use crate::rig::{Binary, Rig};

super::scenarios!["client_id":
    spellings_are_one_client, bad_ids_reach_nobody, longer_paths_are_404, longest_id, ids_cannot_break_out,
    plus_is_no_space, case_matters, reserved_word,
];

async fn spellings_are_one_client(binary: Binary) {
    let rig = binary.rig("--on-duplicate reject", echo).await;
    let mut client = rig.connect("%61%21").await;
    let connection = rig.connected("a!").await;
    assert!(connection.is_some() && connection == rig.connected("%61!").await);
    assert_eq!(rig.push("a%21", "one").await.status, 200);
    client.expect_text("one").await;
    assert_eq!(rig.refusal("a!", &[]).await.status, 409, "another spelling is the same client");
    drop(client);
    rig.api.settled().await;
    drop(rig.connect("a!").await);
    rig.api.settled().await;
    let mut paths: Vec<_> = rig.api.seen().iter().map(|seen| seen.request.path().to_owned()).collect();
    paths.dedup();
    assert_eq!(paths.len(), 1, "one spelling towards the API: {paths:?}");
    rig.finish().await;
}

/// The answers to a connect and to each control request with this target.
async fn answers(rig: &Rig, target: &str) -> Vec<u16> {
    let mut raw = Raw::connect(rig.gateway.public).await;
    raw.write(&handshake(target, &[])).await;
    let mut statuses = vec![raw.answer().await.status];
    for (method, body) in [("POST", Some(&b"x"[..])), ("DELETE", None), ("HEAD", None)] {
        statuses.push(http::request(rig.gateway.public, method, target, &[], body).await.status);
    }
    statuses
}

async fn bad_ids_reach_nobody(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let too_long = format!("/{}", "x".repeat(513));
    let too_long_decoded = format!("/{}", "%C3%A9".repeat(257));
    let bad = [
        "/.", "/..", "/%2e", "/%2E%2e", "/.%2E", "/-", "/%2D", "/a%2fb", "/a%2Fb", "/%00", "/a%0ab", "/a%0D",
        "/%7f", "/%1f", "/%C2%80", "/%ff", "/%C3", "/%c0%af", "/%ed%a0%80", "/%", "/%2", "/%zz", "/a%%41",
        &too_long, &too_long_decoded,
    ];
    for target in bad {
        assert_eq!(answers(&rig, target).await, [400; 4], "{target}");
    }
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn longer_paths_are_404(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for target in ["/a/b", "/a/", "//a", "/-/x", "/a/../b"] {
        assert_eq!(answers(&rig, target).await, [404; 4], "{target}");
    }
    assert_eq!(rig.api.seen().len(), 0);
    rig.finish().await;
}

async fn longest_id(binary: Binary) {
    let rig = binary.rig("", echo).await;
    for id in ["x".repeat(512), "%C3%A9".repeat(256)] {
        let mut client = rig.connect(&id).await;
        assert_eq!(rig.push(&id, "m").await.status, 200);
        client.expect_text("m").await;
    }
    rig.finish().await;
}

fn decoded(segment: &str) -> Vec<u8> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
        decoded.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
    }
    decoded
}

async fn ids_cannot_break_out(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let ids = [
        "a%3Fadmin=1", "a%23b", "a%25%32%66b", "a%26b;c=d", "%20a%20", "a%5Cb", "%E2%82%AC", "...", "a%22b", "a%3Cb%3E",
        "a@b:c", "%2E%2E%2E", "a%252Fb", "~a_b-c", "a%7Cb%5E%60%7B%7D",
    ];
    for id in ids {
        let mut client = rig.connect(&format!("{id}?query=1")).await;
        client.send_text("m").await;
        client.expect_text("m").await;
        drop(client);
        rig.api.settled().await;
    }
    for (index, seen) in rig.api.seen().iter().enumerate() {
        let (request, id) = (&seen.request, ids[index / 3]);
        let query = if request.method == "GET" { Some("query=1") } else { None };
        assert_eq!(request.query(), query, "{id}: {}", request.target);
        assert_eq!(request.path().matches('/').count(), 1, "{id}: {}", request.target);
        assert!(!request.target.contains(['#', ' ', '\\', '"']), "{id}: {}", request.target);
        assert_eq!(decoded(request.client()), decoded(id), "{id}: {}", request.target);
    }
    rig.finish().await;
}

async fn plus_is_no_space(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let plus = rig.connect("a+b").await;
    assert_eq!(rig.connected("a%20b").await, None);
    let space = rig.connect("a%20b").await;
    assert_ne!(rig.connected("a%2Bb").await, rig.connected("a%20b").await);
    drop((plus, space));
    rig.finish().await;
}

async fn case_matters(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let lower = rig.connect("a").await;
    assert_eq!(rig.connected("A").await, None);
    let upper = rig.connect("A").await;
    drop((lower, upper));
    rig.finish().await;
}

async fn reserved_word(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("metrics-of-mine").await;
    client.send_text("m").await;
    client.expect_text("m").await;
    drop(client);
    // `metrics` itself is a page of the gateway: a handshake there must not silently be something else.
    let answer = http::get(rig.gateway.control, "/metrics").await;
    assert_eq!(answer.status, 200);
    rig.finish().await;
}
