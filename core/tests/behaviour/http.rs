//! Contract, section 9: HTTP, strictly.

use std::time::Duration;
use ws2http_core::SocketEnd;

use crate::client::{Frame, handshake};
use crate::pair::{pair, pair_of};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut pair = pair(|_| {});
    let client = pair.open("a");
    let sock = pair.socket();
    let push = |body: &str| format!("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let head = "HEAD /b HTTP/1.1\r\nHost: g\r\n\r\n".to_owned();
    pair.send(sock, [push("1"), head, push("2"), push("3")].concat());
    let statuses: Vec<u16> = (0..4).map(|_| pair.sock(sock).take_http_head_aware()).collect();
    assert_eq!(statuses, [200, 404, 200, 200]);
    let frames: Vec<Frame> = ["1", "2", "3"].map(|text| Frame::Text(text.to_owned())).into();
    assert_eq!(pair.sock(client).frames(), frames);
    assert!(!pair.sock(sock).fin);
}

#[test]
fn chunked_bodies_and_expect_continue_work() {
    let mut pair = pair(|_| {});
    let client = pair.open("a");
    let sock = pair.socket();
    pair.send(sock, "POST /a HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(pair.sock(sock).take_http().status, 100);
    pair.send(sock, "3;x=y\r\nfoo\r\n3\r\nb");
    pair.send(sock, "ar\r\n0\r\n\r\n");
    assert_eq!(pair.sock(sock).take_http().status, 200);
    assert_eq!(pair.sock(client).frames(), [Frame::Text("foobar".to_owned())]);
}

#[test]
fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let body = "\r\n0\r\n\r\nPOST /a HTTP/1.1\r\nHost: g\r\n\r\n";
    for head in [
        "Host: g\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Host: g\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "Host: g\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: g\r\nContent-Length : 5\r\n",
        "Host: g\r\nX: a\r\n b\r\n",
        "Host: g\nX: a\r\n",
        "Host: g\r\nContent-Length: -1\r\n",
        "Content-Length: 0\r\n",
    ] {
        let mut pair = pair(|_| {});
        let client = pair.open("a");
        let sock = pair.socket();
        pair.send(sock, format!("POST /a HTTP/1.1\r\n{head}{body}"));
        let answer = pair.sock(sock).take_http();
        assert!((400..=501).contains(&answer.status), "{head:?}: {}", answer.status);
        assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
        assert!(pair.sock(sock).fin, "{head:?}");
        assert!(pair.sock(sock).received.is_empty(), "{head:?}");
        assert_eq!(pair.sock(client).frames(), [], "{head:?}");
    }
}

#[test]
fn too_much_is_refused_by_name() {
    let long = "x".repeat(9000);
    let many: String = (0..101).map(|number| format!("H{number}: x\r\n")).collect();
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: g\r\n\r\n"), 414),
        (format!("GET /a HTTP/1.1\r\nHost: g\r\n{many}\r\n"), 431),
        (format!("GET /a HTTP/1.1\r\nHost: g\r\nA: {long}\r\nB: {long}\r\n\r\n"), 431),
        ("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 2000000\r\n\r\n".to_owned(), 413),
    ] {
        let mut pair = pair(|_| {});
        let sock = pair.socket();
        pair.send(sock, request);
        assert_eq!(pair.sock(sock).take_http().status, status);
        assert!(pair.sock(sock).fin);
    }
}

#[test]
fn a_slow_head_is_408_and_a_body_without_progress_too() {
    let mut pair = pair(|_| {});
    let head = pair.socket();
    for _ in 0..9 {
        pair.send(head, "G");
        pair.pass(Duration::from_secs(1));
    }
    let body = pair.socket();
    pair.send(body, "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n");
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(head).take_http().status, 408);
    for _ in 0..3 {
        pair.send(body, "x");
        pair.pass(Duration::from_secs(8));
    }
    assert!(pair.sock(body).received.is_empty());
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.sock(body).take_http().status, 408);
    let slow = pair.socket();
    pair.send(slow, "GET /a HTTP");
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.sock(slow).take_http().status, 408);
}

#[test]
fn an_idle_kept_alive_connection_is_closed() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, "GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n");
    assert_eq!(pair.sock(sock).take_http().status, 200);
    pair.pass(Duration::from_secs(74));
    assert!(!pair.sock(sock).closed);
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
}

#[test]
fn http_1_0_is_answered_and_closed_unless_kept_alive() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, "GET /-/healthy HTTP/1.0\r\n\r\n");
    assert_eq!(pair.sock(sock).take_http().status, 200);
    assert!(pair.sock(sock).fin);
    let kept = pair.socket();
    pair.send(kept, "GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(pair.sock(kept).take_http().status, 200);
    assert!(!pair.sock(kept).fin);
}

#[test]
fn a_request_is_answered_also_when_its_sender_half_closes() {
    let mut pair = pair(|_| {});
    let client = pair.open("a");
    let sock = pair.socket();
    pair.sock(sock).blocked = true;
    pair.send(sock, "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\n\r\nx");
    pair.end(sock, SocketEnd::Eof);
    assert!(!pair.sock(sock).closed);
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).take_http().status, 200);
    assert!(pair.sock(sock).closed);
    assert_eq!(pair.sock(client).frames().len(), 1);
}

#[test]
fn a_refused_senders_last_bytes_are_thrown_away_before_the_socket_closes() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 9000000\r\n\r\n");
    assert_eq!(pair.sock(sock).take_http().status, 413);
    assert!(pair.sock(sock).fin && !pair.sock(sock).closed);
    pair.send(sock, vec![b'x'; 100_000]);
    assert!(pair.sock(sock).unread.is_empty());
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
}

#[test]
fn requests_that_came_before_the_half_close_are_answered() {
    let mut pair = pair(|_| {});
    let client = pair.open("a");
    let push = |body: &str| format!("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for rest in ["", "POST /a HTTP/1.1\r\nHo", "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\nhalf"] {
        let sock = pair.socket();
        pair.sock(sock).blocked = true;
        pair.send(sock, [&push("1"), &push("2"), rest].concat());
        pair.end(sock, SocketEnd::Eof);
        pair.unblock(sock);
        assert_eq!([pair.sock(sock).take_http().status, pair.sock(sock).take_http().status], [200, 200]);
        assert_eq!(pair.sock(client).frames(), ["1", "2"].map(|text| Frame::Text(text.to_owned())));
        assert!(pair.sock(sock).closed && pair.sock(sock).received.is_empty());
    }
}

#[test]
fn http_1_0_is_told_that_the_connection_is_kept() {
    let mut pair = pair(|_| {});
    let mut connection = |request: &str| pair.control(request).header("connection").map(str::to_owned);
    assert_eq!(connection("GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").as_deref(), Some("keep-alive"));
    assert_eq!(connection("GET /-/healthy HTTP/1.0\r\n\r\n").as_deref(), Some("close"));
    assert_eq!(connection("GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n"), None);
}

#[test]
fn a_handshake_behind_a_request_that_came_before_the_half_close_asks_nobody() {
    let mut pair = pair_of(2, |config| config.ping_interval = None);
    // Some of them have their home on the other shard.
    for id in ["a", "b", "c", "d", "e"] {
        let sock = pair.socket();
        pair.sock(sock).blocked = true;
        pair.send(sock, "GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n".to_owned() + &handshake(id, ""));
        pair.end(sock, SocketEnd::Eof);
        assert!(!pair.sock(sock).closed);
        pair.unblock(sock);
        assert_eq!(pair.sock(sock).take_http().status, 200);
        assert!(pair.sock(sock).closed, "{id}");
        assert!(pair.log.is_empty(), "{:?}", pair.log);
    }
    pair.assert_empty();
}
