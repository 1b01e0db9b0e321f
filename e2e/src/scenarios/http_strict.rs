//! Section 9: HTTP, strictly. Pushes are the requests with bodies, so they are what is smuggled.

use crate::api::echo;
use crate::client::Client;
use crate::http::encode;
use crate::raw::handshake;
use crate::rig::{Binary, Rig};

super::scenarios!["http_strict":
    ambiguous_lengths, malformed_heads, malformed_chunks, malformed_handshake_heads, smuggled_requests_do_not_run, head_too_large, too_many_headers, target_too_long, just_within_the_limits, body_on_get, garbage,
];

/// A gateway with a client to push to, which must hear nothing.
pub(super) async fn rig_with_victim(binary: Binary) -> (Rig, Client) {
    let rig = binary.rig("", echo).await;
    let client = rig.connect("a").await;
    (rig, client)
}

/// Sends `bytes`; the status of the refusal, after which the connection must end.
async fn refused(rig: &Rig, bytes: &[u8]) -> u16 {
    let mut raw = rig.raw().await;
    raw.write_anyway(bytes).await;
    let answer = raw.answer().await;
    raw.end().await;
    let rest = String::from_utf8_lossy(&raw.buffer).into_owned();
    assert!(raw.buffer.is_empty(), "more than one answer to {:?}: {rest}", String::from_utf8_lossy(bytes));
    answer.status
}

async fn all_refused(binary: Binary, cases: &[(&str, &[u16])]) {
    let (rig, mut client) = rig_with_victim(binary).await;
    for (text, statuses) in cases {
        let status = refused(&rig, text.as_bytes()).await;
        assert!(statuses.contains(&status), "{text:?} was answered {status}, not {statuses:?}");
    }
    assert!(client.is_quiet().await, "a refused push is not delivered");
    assert_eq!(rig.api.seen().len(), 1, "a refusal never reaches the API");
    drop(client);
    rig.finish().await;
}

async fn ambiguous_lengths(binary: Binary) {
    let push = |headers: &str| format!("POST /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n0\r\n\r\n");
    let bad: &[u16] = &[400];
    let coding: &[u16] = &[400, 501];
    let cases = [
        (push("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), bad),
        (push("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), bad),
        (push("Content-Length: 5\r\nContent-Length: 6\r\n"), bad),
        (push("Content-Length: 5\r\nContent-Length: 5\r\n"), bad),
        (push("Content-Length: 5, 5\r\n"), bad),
        (push("Content-Length: +5\r\n"), bad),
        (push("Content-Length: -1\r\n"), bad),
        (push("Content-Length: 0x5\r\n"), bad),
        (push("Content-Length: 5 5\r\n"), bad),
        (push("Content-Length: \r\n"), bad),
        (push("Content-Length: five\r\n"), bad),
        (push("Transfer-Encoding: gzip\r\n"), coding),
        (push("Transfer-Encoding: gzip, chunked\r\n"), coding),
        (push("Transfer-Encoding: chunked, gzip\r\n"), coding),
        (push("Transfer-Encoding: chunked, chunked\r\n"), coding),
        (push("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), coding),
        (push("Transfer-Encoding: identity\r\n"), coding),
        (push("Transfer-Encoding: xchunked\r\n"), coding),
        (push("Transfer-Encoding: chunked;x=y\r\n"), coding),
        (push("Transfer-Encoding: \x0bchunked\r\n"), coding),
        (push("Transfer-Encoding: \"chunked\"\r\n"), coding),
        (push("Transfer-Encoding:\r\n"), coding),
        (push("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"), bad),
        (push("Content-Length: 99999999999999999999999\r\n"), &[400, 413]),
    ];
    let cases: Vec<(&str, &[u16])> = cases.iter().map(|(text, statuses)| (text.as_str(), *statuses)).collect();
    all_refused(binary, &cases).await;
}

async fn malformed_heads(binary: Binary) {
    let bad: &[u16] = &[400];
    let cases: [(&str, &[u16]); 24] = [
        ("POST /a HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nX: 1\r\n\t2\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\n Host: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\nHost: x\nContent-Length: 1\n\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nX: a\rb\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length\t: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\n: 1\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nnothing\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nX: a\0b\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nX\0: b\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/1.1\r\nHost: a b\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST  /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a  HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST /a HTTP/2.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", &[400, 505]),
        ("POST /a HTTP/1.2\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", &[400, 505]),
        ("P(ST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
        ("POST a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", bad),
    ];
    all_refused(binary, &cases).await;
}

async fn malformed_chunks(binary: Binary) {
    let push = |body: &str| format!("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let bodies = [
        "x\r\n", "-1\r\n", "+1\r\nx\r\n0\r\n\r\n", "0x1\r\nx\r\n0\r\n\r\n", " 1\r\nx\r\n0\r\n\r\n", "1\nx\r\n0\r\n\r\n",
        "1\r\nxx\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\rx\r\n0\r\n\r\n", "\r\n", "fffffffffffffffff\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n",
        "0\r\nbad trailer\r\n\r\n", "0\r\nX: a\nb\r\n\r\n", "1_0\r\n", ";\r\n",
    ];
    let cases = bodies.map(push);
    let cases: Vec<(&str, &[u16])> = cases.iter().map(|text| (text.as_str(), &[400, 413][..])).collect();
    all_refused(binary, &cases).await;
}

async fn malformed_handshake_heads(binary: Binary) {
    let good = String::from_utf8(handshake("/b", &[])).unwrap();
    let with = |header: &str| good.replacen("Host: gateway\r\n", &format!("Host: gateway\r\n{header}"), 1);
    let cases = [
        with("X: 1\r\n 2\r\n"),
        with("X: 1\n"),
        with("X : 1\r\n"),
        with("X: a\rb\r\n"),
        with("Host: y\r\n"),
        with("Content-Length: 1\r\nContent-Length: 2\r\n"),
        with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        good.replace("\r\n", "\n"),
        good.replacen("Host: gateway\r\n", "", 1),
    ];
    let cases: Vec<(&str, &[u16])> = cases.iter().map(|text| (text.as_str(), &[400][..])).collect();
    all_refused(binary, &cases).await;
}

async fn smuggled_requests_do_not_run(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let inner = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled";
    let cases = [
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 999\r\n\r\n{inner}"),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 999\r\n\r\n{inner}"),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nX: 1\n\r\n{inner}"),
        format!("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n{inner}"),
    ];
    for text in &cases {
        let status = refused(&rig, text.as_bytes()).await;
        assert_eq!(status, 400, "{text:?}");
    }
    assert!(client.is_quiet().await, "nothing smuggled");
    let wrapped = encode("POST", "/a", &[], Some(inner.as_bytes()));
    let mut raw = rig.raw().await;
    raw.write(&wrapped).await;
    assert_eq!(raw.answer().await.status, 200);
    client.expect_text(inner).await;
    assert!(client.is_quiet().await, "what is in a body stays a body");
    drop(client);
    rig.finish().await;
}

/// The same client, checked to be alive.
async fn head_too_large(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let one = format!("POST /a HTTP/1.1\r\nHost: x\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(17_000));
    assert_eq!(refused(&rig, one.as_bytes()).await, 431);
    let many: String = (0..90).map(|number| format!("X-{number}: {}\r\n", "x".repeat(200))).collect();
    let many = format!("POST /a HTTP/1.1\r\nHost: x\r\n{many}Content-Length: 0\r\n\r\n");
    assert_eq!(refused(&rig, many.as_bytes()).await, 431);
    let endless = format!("POST /a HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(200_000));
    assert_eq!(refused(&rig, endless.as_bytes()).await, 431, "without waiting for its end");
    drop(client);
    rig.finish().await;
}

async fn too_many_headers(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let with = |count: usize| {
        let headers: String = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        format!("HEAD /a HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
    };
    assert_eq!(refused(&rig, with(100).as_bytes()).await, 431, "101 headers");
    let mut raw = rig.raw().await;
    raw.write(with(99).as_bytes()).await;
    assert_eq!(raw.answer_to("HEAD").await.status, 200, "100 headers");
    drop(client);
    rig.finish().await;
}

async fn target_too_long(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let long = format!("GET /b?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8_200));
    assert_eq!(refused(&rig, long.as_bytes()).await, 414);
    let endless = format!("GET /b?{}", "x".repeat(100_000));
    assert_eq!(refused(&rig, endless.as_bytes()).await, 414, "without waiting for its end");
    drop(client);
    rig.finish().await;
}

async fn just_within_the_limits(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let query = "x".repeat(8_100);
    let large = "y".repeat(7_000);
    let target = format!("/a?{query}");
    let headers = [("X-Large", large.as_str()), ("X-Other", &large)];
    let client = Client::attempt(rig.gateway.public, &target, &headers).await;
    drop(client.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let get = rig.api.request("GET", "a", 0).await;
    assert_eq!((get.query(), get.header("x-large")), (Some(query.as_str()), Some(large.as_str())));
    rig.finish().await;
}

async fn body_on_get(binary: Binary) {
    let (rig, mut client) = rig_with_victim(binary).await;
    let inner = encode("POST", "/a", &[], Some(b"smuggled"));
    let mut raw = rig.raw().await;
    raw.write(&encode("GET", "/-/healthy", &[], Some(&inner))).await;
    let status = raw.answer().await.status;
    assert!([200, 400].contains(&status), "{status}");
    assert!(client.is_quiet().await, "the body of a GET is not a request");
    let mut raw = rig.raw().await;
    let body = encode("POST", "/a", &[], Some(b"smuggled"));
    let length = body.len().to_string();
    raw.write_anyway(&[handshake("/b", &[("Content-Length", &length)]), body].concat()).await;
    let status = raw.answer().await.status;
    assert_eq!(status, 400, "a handshake has no body");
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn garbage(binary: Binary) {
    let (rig, client) = rig_with_victim(binary).await;
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..random.usize(1..300)).map(|_| random.u8(..)).collect();
        let mut raw = rig.raw().await;
        raw.write_anyway(&bytes).await;
        raw.half_close().await;
        raw.end().await;
        let answer = String::from_utf8_lossy(&raw.buffer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    assert_eq!(refused(&rig, tls).await, 400);
    let status = refused(&rig, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!([400, 505].contains(&status), "{status}");
    drop(client);
    rig.finish().await;
}

