//! Section 9: HTTP, strictly; what is ambiguous reaches nobody.

use std::time::Duration;

use crate::api::silent;
use crate::frame::TEXT;
use crate::http::encode;
use crate::rig::Binary;

super::scenarios!["http_strict":
    ambiguous_requests_are_refused_and_smuggle_nothing,
    oversized_requests_are_refused_by_name,
    pipelined_requests_are_answered_in_order,
    chunked_pushes_arrive,
    expect_continue_is_answered,
    connections_are_kept_alive_as_asked,
    slow_heads_and_bodies_are_408,
    a_slow_but_steady_body_arrives,
    a_half_closed_request_is_answered,
    rubbish_is_refused_at_once,
];

async fn ambiguous_requests_are_refused_and_smuggle_nothing(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut victim = rig.open("victim").await;
    // Whoever reads the length otherwise than meant takes this for a second request.
    let smuggled = "0\r\n\r\nPOST /victim HTTP/1.1\r\nHost: g\r\nContent-Length: 8\r\n\r\nsmuggled";
    for head in [
        "Host: g\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        "Host: g\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
        "Host: g\r\nContent-Length: 4\r\nContent-Length: 5",
        "Host: g\r\nContent-Length: 4\r\nContent-Length: 4",
        "Host: g\r\nContent-Length: 4, 4",
        "Host: g\r\nContent-Length: +4",
        "Host: g\r\nContent-Length: 0x4",
        "Host: g\r\nContent-Length : 4",
        "Host: g\r\nTransfer-Encoding: xchunked",
        "Host: g\r\nTransfer-Encoding: chunked, identity",
        "Host: g\r\nTransfer-Encoding: gzip, chunked",
        "Host: g\r\nTransfer-Encoding : chunked",
        "Host: g\r\nTransfer-Encoding:\x0bchunked",
        "Host: g\r\nX: y\r\n Transfer-Encoding: chunked",
        "Host: g\r\nX: y\nTransfer-Encoding: chunked",
        "Host: g\r\nX: y\rTransfer-Encoding: chunked",
        "Host: g\r\nHost: h\r\nContent-Length: 4",
        "Content-Length: 4",
    ] {
        let mut raw = rig.raw().await;
        raw.write(format!("POST /nobody HTTP/1.1\r\n{head}\r\n\r\n{smuggled}").as_bytes()).await;
        let answer = raw.answer().await;
        assert!([400, 501].contains(&answer.status), "{head:?}: {answer:?}");
        assert!(answer.closes(), "{head:?}: {answer:?}");
        raw.expect_end().await;
    }
    assert!(victim.is_quiet().await);
    assert_eq!(rig.api.seen().len(), 1, "only the victim's connect");
    drop(victim);
    rig.finish().await;
}

async fn oversized_requests_are_refused_by_name(binary: Binary) {
    let rig = binary.rig("--max-message 1000", silent).await;
    let many: String = (0..101).map(|number| format!("H{number}: x\r\n")).collect();
    let (long, body) = ("x".repeat(9000), "x".repeat(1001));
    for (request, status) in [
        (format!("POST /{long} HTTP/1.1\r\nHost: g\r\n\r\n"), 414),
        (format!("POST /a HTTP/1.1\r\nHost: g\r\n{many}\r\n"), 431),
        (format!("POST /a HTTP/1.1\r\nHost: g\r\nA: {long}\r\nB: {long}\r\n\r\n"), 431),
        (format!("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 1001\r\n\r\n{body}"), 413),
        (format!("POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{body}"), 413),
        ("POST /a HTTP/2.0\r\nHost: g\r\n\r\n".to_owned(), 505),
    ] {
        let mut raw = rig.raw().await;
        raw.write_anyway(request.as_bytes()).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.closes());
        raw.expect_end().await;
    }
    assert!(rig.api.seen().is_empty());
    rig.finish().await;
}

async fn pipelined_requests_are_answered_in_order(binary: Binary) {
    let rig = binary.rig("--threads 2", silent).await;
    let mut client = rig.open("a").await;
    let mut raw = rig.raw().await;
    let mut requests = Vec::new();
    for number in 0..50 {
        requests.extend(encode("POST", "/a", &[], Some(number.to_string().as_bytes())));
        requests.extend(encode("POST", &format!("/nobody{number}"), &[], Some(b"x")));
    }
    raw.write(&requests).await;
    for number in 0..50 {
        assert_eq!(raw.answer().await.status, 200);
        assert_eq!(raw.answer().await.status, 404);
        client.expect(TEXT, number.to_string()).await;
    }
    drop(client);
    rig.finish().await;
}

async fn chunked_pushes_arrive(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.open("a").await;
    let mut raw = rig.raw().await;
    raw.write_slowly(b"POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nfoo\r\n3\r\nbar\r\n0\r\nTrailer: x\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.status, 200);
    client.expect(TEXT, "foobar").await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoobar\r\n0\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 400);
    assert!(client.is_quiet().await);
    drop(client);
    rig.finish().await;
}

async fn expect_continue_is_answered(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut client = rig.open("a").await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 100);
    raw.write(b"hi").await;
    assert_eq!(raw.answer().await.status, 200);
    client.expect(TEXT, "hi").await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: g\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(raw.answer().await.status, 417);
    drop(client);
    rig.finish().await;
}

async fn connections_are_kept_alive_as_asked(binary: Binary) {
    let rig = binary.rig("", silent).await;
    let mut raw = rig.raw().await;
    for _ in 0..3 {
        raw.write(b"GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n").await;
        assert_eq!(raw.answer().await.status, 200);
    }
    raw.write(b"GET /-/healthy HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n").await;
    assert!(raw.answer().await.closes());
    raw.expect_end().await;
    let mut old = rig.raw().await;
    old.write(b"GET /-/healthy HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.answer().await.status, 200);
    old.expect_end().await;
    rig.finish().await;
}

async fn slow_heads_and_bodies_are_408(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 500ms", silent).await;
    for start in ["", "GET /a HT", "GET /a HTTP/1.1\r\nHost: g\r\n", "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\nhalf"] {
        let mut raw = rig.raw().await;
        raw.write(start.as_bytes()).await;
        assert_eq!(raw.answer().await.status, 408, "{start:?}");
        raw.expect_end().await;
    }
    assert!(rig.api.seen().is_empty());
    rig.finish().await;
}

async fn a_slow_but_steady_body_arrives(binary: Binary) {
    let rig = binary.rig("--handshake-timeout 1s", silent).await;
    let mut client = rig.open("a").await;
    let mut raw = rig.raw().await;
    raw.write(b"POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 8\r\n\r\n").await;
    for _ in 0..8 {
        // Longer than the timeout in all, shorter each.
        tokio::time::sleep(Duration::from_millis(200)).await;
        raw.write(b"x").await;
    }
    assert_eq!(raw.answer().await.status, 200);
    client.expect(TEXT, "xxxxxxxx").await;
    drop(client);
    rig.finish().await;
}

async fn a_half_closed_request_is_answered(binary: Binary) {
    let rig = binary.rig("--threads 2", silent).await;
    let mut client = rig.open("a").await;
    for number in 0..4 {
        let mut raw = rig.raw().await;
        raw.write(&encode("POST", "/a", &[], Some(number.to_string().as_bytes()))).await;
        raw.half_close().await;
        assert_eq!(raw.answer().await.status, 200);
        raw.expect_end().await;
        client.expect(TEXT, number.to_string()).await;
    }
    drop(client);
    rig.finish().await;
}

async fn rubbish_is_refused_at_once(binary: Binary) {
    let rig = binary.rig("", silent).await;
    for rubbish in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\0\0\0\0", b"SSH-2.0-x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut raw = rig.raw().await;
        raw.write(rubbish).await;
        let status = raw.answer().await.status;
        assert!([400, 505].contains(&status), "{rubbish:?}: {status}");
        raw.expect_end().await;
    }
    rig.finish().await;
}
