//! Contract, section 11.

use std::time::Duration;

use crate::client::{close, text};
use crate::pair::pair;

#[test]
fn the_seeds_five_and_the_gauge_tell_what_happened() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    let _refused = pair.handshake("b");
    pair.answer(403, "no");
    pair.send(sock, text("1"));
    pair.pass(Duration::from_millis(3));
    pair.answer(200, "22");
    pair.send(sock, text("2"));
    let values = |pair: &mut crate::pair::Pair| {
        [
            "connections_opened",
            "connections_closed",
            "active_connections",
            "requests_started",
            "requests_succeeded",
            "requests_failed",
        ]
        .map(|name| pair.metric(name))
    };
    assert_eq!(values(&mut pair), [1, 0, 1, 4, 3, 0]);
    assert_eq!(pair.metric("ws2http_api_calls_in_flight"), 1);
    pair.answer(500, "");
    pair.send(sock, close(1000, ""));
    assert_eq!(pair.metric("ws2http_disconnects_pending"), 1);
    pair.answer(200, "");
    assert_eq!(values(&mut pair), [1, 1, 0, 5, 4, 1]);
    assert_eq!(pair.metric("ws2http_closes_total{code=\"1000\"}"), 1);
    assert_eq!(pair.metric("ws2http_refusals_total{reason=\"api_refused\"}"), 1);
    assert_eq!(pair.metric("ws2http_messages_received_total{type=\"text\"}"), 2);
    assert_eq!(pair.metric("ws2http_message_bytes_sent_total"), 2);
    assert_eq!(pair.metric("ws2http_api_call_duration_seconds_bucket{method=\"POST\",le=\"0.005\"}"), 2);
    assert_eq!(pair.metric("ws2http_api_call_duration_seconds_bucket{method=\"POST\",le=\"0.001\"}"), 1);
    assert_eq!(pair.metric("process_resident_memory_bytes"), 4096);
}

#[test]
fn pushes_are_counted_by_result() {
    let mut pair = pair(|_| {});
    let _open = pair.open("a");
    let _connecting = pair.handshake("b");
    for id in ["a", "b", "c"] {
        pair.push(id, "x");
    }
    for result in ["ok", "queued", "not_found"] {
        assert_eq!(pair.metric(&format!("ws2http_pushes_total{{result=\"{result}\"}}")), 1);
    }
}

#[test]
fn a_push_that_waits_for_the_101_counts_as_sent_when_its_client_is_let_in() {
    for (status, sent_then, sent_later) in [(403, [0, 0, 0], [0, 0, 0]), (200, [2, 1, 7], [3, 1, 8])] {
        let mut pair = pair(|_| {});
        let _sock = pair.handshake("a");
        assert_eq!((pair.push("a", "four").0, pair.push("a", "").0), (202, 202));
        let binary = "Content-Type: application/octet-stream\r\nContent-Length: 3";
        assert_eq!(pair.control(&format!("POST /a HTTP/1.1\r\nHost: g\r\n{binary}\r\n\r\nabc")).status, 202);
        let sent = |pair: &mut crate::pair::Pair| {
            [
                "ws2http_messages_sent_total{type=\"text\"}",
                "ws2http_messages_sent_total{type=\"binary\"}",
                "ws2http_message_bytes_sent_total",
            ]
            .map(|name| pair.metric(name))
        };
        assert_eq!(sent(&mut pair), [0, 0, 0]);
        pair.answer(status, "ok");
        assert_eq!(sent(&mut pair), sent_then);
        pair.push("a", "x");
        assert_eq!(sent(&mut pair), sent_later);
    }
}
