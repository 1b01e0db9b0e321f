//! Contract, section 4: messages, client to API and back.

use bytes::Bytes;
use http::{Response, StatusCode};
use std::time::Duration;
use ws2http_core::{CallError, OnApiFailure, SocketEnd};

use crate::client::{Frame, frame, text};
use crate::pair::pair;

#[test]
fn a_message_is_posted_and_its_answer_comes_back() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("héllo"));
    let call = &pair.calls[0];
    assert_eq!((call.line(), call.body()), ("POST /base/a".to_owned(), "héllo".to_owned()));
    assert_eq!(call.header("content-type"), "text/plain; charset=utf-8");
    assert!(!call.header("x-connection-id").is_empty());
    pair.answer(200, "wörld");
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("wörld".to_owned())]);
}

#[test]
fn binary_stays_binary_both_ways() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, frame(0x82, [0, 255]));
    assert_eq!(pair.calls[0].header("content-type"), "application/octet-stream");
    assert_eq!(pair.calls[0].request.body()[..], [0, 255]);
    let answer = Response::builder().header("content-type", "application/octet-stream");
    pair.respond(answer.body(Bytes::from_static(&[254, 1])).unwrap());
    assert_eq!(pair.sock(sock).frames(), [Frame::Binary(vec![254, 1])]);
}

#[test]
fn an_empty_answer_sends_nothing_and_an_empty_message_is_posted() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text(""));
    assert_eq!((pair.calls[0].body(), pair.calls[0].header("content-length")), (String::new(), "0"));
    pair.answer(204, "");
    assert_eq!(pair.sock(sock).frames(), []);
}

#[test]
fn one_call_at_a_time_in_the_order_sent() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    for number in 0..10 {
        pair.send(sock, text(&number.to_string()));
    }
    for number in 0..10 {
        assert_eq!(pair.calls.len(), 1);
        assert_eq!(pair.calls[0].body(), number.to_string());
        pair.answer(200, format!("re {number}"));
    }
    let replies: Vec<Frame> = (0..10).map(|number| Frame::Text(format!("re {number}"))).collect();
    assert_eq!(pair.sock(sock).frames(), replies);
}

#[test]
fn several_calls_at_once_when_allowed() {
    let mut pair = pair(|config| config.calls_per_client = 3);
    let sock = pair.open("a");
    for number in 0..5 {
        pair.send(sock, text(&number.to_string()));
    }
    assert_eq!(pair.calls.len(), 3);
    pair.answer(200, "");
    assert_eq!(pair.calls.iter().map(|call| call.body()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[test]
fn calls_of_different_clients_go_side_by_side() {
    let mut pair = pair(|_| {});
    let (a, b) = (pair.open("a"), pair.open("b"));
    pair.send(a, text("from a"));
    pair.send(b, text("from b"));
    assert_eq!(pair.asked(), ["POST /base/a", "POST /base/b"]);
    let call = pair.calls.remove(1);
    pair.calls.insert(0, call);
    pair.answer(200, "to b");
    assert_eq!(pair.sock(a).frames(), []);
    assert_eq!(pair.sock(b).frames(), [Frame::Text("to b".to_owned())]);
}

#[test]
fn a_failed_call_sends_nothing_and_the_connection_stays() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.answer(500, "internal secrets");
    pair.send(sock, text("2"));
    pair.answer(404, "nope");
    pair.send(sock, text("3"));
    pair.fail(CallError::Broken("reset".to_owned()));
    pair.send(sock, text("4"));
    pair.answer(200, Bytes::from_static(b"\xff not utf8"));
    pair.send(sock, text("5"));
    pair.fail(CallError::TooLarge(StatusCode::OK));
    assert_eq!(pair.sock(sock).frames(), []);
    assert_eq!(pair.metric("requests_failed"), 5);
    assert_eq!(pair.reports.len(), 5);
    pair.send(sock, text("6"));
    pair.answer(200, "fine");
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("fine".to_owned())]);
}

#[test]
fn a_call_that_takes_too_long_is_given_up_and_the_next_goes_on() {
    let mut pair = pair(|config| config.ping_interval = None);
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.send(sock, text("2"));
    let late = (pair.calls[0].shard, pair.calls[0].id);
    pair.pass(Duration::from_secs(60));
    assert_eq!(pair.cancelled, 1);
    assert_eq!(pair.calls[0].body(), "2");
    // An answer that comes after all goes to nobody.
    pair.event(late.0, ws2http_core::Event::Reply(late.1, Ok(Response::new(Bytes::from_static(b"late")))));
    pair.answer(200, "in time");
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("in time".to_owned())]);
}

#[test]
fn on_api_failure_close_closes_with_1011() {
    let mut pair = pair(|config| config.on_api_failure = OnApiFailure::Close);
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.answer(500, "");
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(1011, "the API failed".to_owned())]);
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
}

#[test]
fn pings_pushes_and_kicks_go_on_while_a_call_is_under_way() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("slow"));
    pair.send(sock, frame(0x89, "ping"));
    assert_eq!(pair.push("a", "pushed").0, 200);
    assert_eq!(pair.sock(sock).frames(), [Frame::Pong(b"ping".to_vec()), Frame::Text("pushed".to_owned())]);
    assert_eq!(pair.control("DELETE /a HTTP/1.1\r\nHost: g\r\n\r\n").status, 200);
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(1000, String::new())]);
    assert_eq!(pair.asked(), ["POST /base/a"]);
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
}

#[test]
fn a_late_answer_does_not_reach_the_next_tenant_of_the_slot() {
    let mut pair = pair(|_| {});
    let first = pair.open("a");
    pair.send(first, text("1"));
    let late = (pair.calls[0].shard, pair.calls[0].id);
    pair.end(first, SocketEnd::Reset);
    pair.pass(Duration::from_secs(60));
    pair.answer(200, "");
    let second = pair.open("a");
    pair.send(second, text("2"));
    pair.event(late.0, ws2http_core::Event::Reply(late.1, Ok(Response::new(Bytes::from_static(b"stale")))));
    assert_eq!(pair.sock(second).frames(), []);
    assert_eq!(pair.asked(), ["POST /base/a"]);
}

#[test]
fn an_unsent_message_is_posted_again_before_the_next_one() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.send(sock, text("2"));
    pair.fail(CallError::Unsent);
    assert!(pair.calls[0].fresh);
    assert_eq!(pair.calls[0].body(), "1");
    pair.answer(200, "");
    assert_eq!(pair.calls[0].body(), "2");
    assert!(!pair.calls[0].fresh);
}
