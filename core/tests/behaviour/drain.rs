//! Contract, section 8: the orderly end.

use std::time::Duration;
use ws2http_core::{CallError, Event, Report, SocketEnd};

use crate::client::{Frame, close, handshake, text};
use crate::pair::{Pair, pair};

fn closed(pair: &mut Pair, socks: &[usize]) -> usize {
    socks.iter().filter(|sock| pair.sock(**sock).received.first() == Some(&0x88)).count()
}

#[test]
fn clients_are_sent_away_over_the_drain() {
    let mut pair = pair(|config| config.ping_interval = None);
    let socks: Vec<usize> = (0..10).map(|number| pair.open(&format!("c{number}"))).collect();
    pair.event(0, Event::Drain);
    assert_eq!(closed(&mut pair, &socks), 0);
    pair.pass(Duration::from_secs(5));
    assert_eq!(closed(&mut pair, &socks), 5);
    pair.pass(Duration::from_secs(5));
    assert_eq!(closed(&mut pair, &socks), 10);
    assert_eq!(pair.sock(socks[0]).frames(), [Frame::Close(1001, "shutting down".to_owned())]);
    assert_eq!(pair.drained, 0);
    while !pair.calls.is_empty() {
        pair.answer(200, "");
    }
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.drained, 1);
}

#[test]
fn no_connects_while_draining_and_not_ready() {
    let mut pair = pair(|_| {});
    let ready = "GET /-/ready HTTP/1.1\r\nHost: g\r\n\r\n";
    assert_eq!(pair.control(ready).status, 200);
    let _open = pair.open("z");
    pair.event(0, Event::Drain);
    assert_eq!(pair.control(ready).status, 503);
    assert_eq!(pair.control("GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n").status, 200);
    let sock = pair.handshake("a");
    assert_eq!(pair.sock(sock).take_http().status, 503);
    assert_eq!(pair.push("z", "still here").0, 200);
}

#[test]
fn calls_under_way_finish_before_the_end() {
    let mut pair = pair(|config| config.drain = Duration::ZERO);
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.event(0, Event::Drain);
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(1001, "shutting down".to_owned())]);
    pair.send(sock, close(1001, ""));
    pair.end(sock, SocketEnd::Eof);
    assert_eq!(pair.drained, 0);
    pair.answer(200, "");
    assert_eq!(pair.drained, 0);
    pair.answer(200, "");
    assert_eq!(pair.drained, 1);
}

#[test]
fn a_connect_that_is_authorised_during_the_drain_is_refused_and_gets_its_delete() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    pair.event(0, Event::Drain);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(sock).take_http().status, 503);
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    pair.answer(200, "");
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.drained, 1);
}

#[test]
fn an_idle_gateway_is_drained_at_once_and_only_once() {
    let mut pair = pair(|_| {});
    pair.event(0, Event::Drain);
    pair.event(0, Event::Drain);
    pair.pass(Duration::from_secs(100));
    assert_eq!(pair.drained, 1);
}

#[test]
fn an_api_that_is_down_does_not_hold_the_end_up() {
    let mut pair = pair(|config| config.drain = Duration::from_secs(1));
    let sock = pair.open("a");
    pair.event(0, Event::Drain);
    pair.pass(Duration::from_secs(1));
    pair.end(sock, SocketEnd::Eof);
    for _ in 0..100 {
        if pair.calls.is_empty() {
            pair.pass(Duration::from_millis(100));
        } else {
            pair.answer(503, "");
        }
    }
    assert_eq!(pair.drained, 1);
    assert_eq!(pair.metric("ws2http_disconnects_lost_total"), 1);
}

#[test]
fn an_api_that_hangs_does_not_hold_the_end_up_for_ever() {
    let mut pair = pair(|config| config.calls_per_client = 1);
    let sock = pair.open("a");
    for _ in 0..10 {
        pair.send(sock, text("hang"));
    }
    pair.event(0, Event::Drain);
    pair.pass(Duration::from_secs(76));
    assert_eq!(pair.drained, 1);
    assert_eq!(pair.metric("ws2http_disconnects_lost_total"), 1);
    // Two were called for, and have failed.
    assert_eq!(pair.metric("ws2http_messages_lost_total"), 8);
    assert!(pair.reports.contains(&Report::MessagesLost { messages: 8 }));
}

#[test]
fn any_number_of_clients_is_spread_evenly() {
    for count in [1, 3, 7, 11] {
        let mut pair = pair(|config| config.ping_interval = None);
        let socks: Vec<usize> = (0..count).map(|number| pair.open(&format!("c{number}"))).collect();
        pair.event(0, Event::Drain);
        pair.pass(Duration::from_millis(10_001));
        assert_eq!(closed(&mut pair, &socks), count);
    }
}

#[test]
fn a_replacement_that_waits_when_the_drain_begins_is_refused() {
    let mut pair = pair(|config| config.on_duplicate = ws2http_core::OnDuplicate::Replace);
    let _old = pair.open("a");
    let new = pair.handshake("a");
    pair.answer(200, "ok");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    pair.event(0, Event::Drain);
    pair.answer(200, "");
    assert_eq!(pair.sock(new).take_http().status, 503);
    pair.answer(200, "");
    pair.pass(Duration::from_secs(20));
    assert_eq!(pair.drained, 1);
}

/// A gateway one of whose clients has left while the API is down, since so long.
fn with_a_delete_to_repeat(since: Duration) -> Pair {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.end(sock, SocketEnd::Eof);
    let end = pair.now + since;
    while pair.now < end {
        if !pair.calls.is_empty() {
            pair.fail(CallError::Connect("down".to_owned()));
        }
        pair.pass(Duration::from_millis(100));
    }
    assert!(pair.calls.is_empty());
    pair
}

#[test]
fn a_drain_does_not_wait_for_the_long_pauses_between_repeats() {
    let mut pair = with_a_delete_to_repeat(Duration::from_secs(100));
    pair.event(0, Event::Drain);
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    pair.answer(200, "");
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.drained, pair.metric("ws2http_disconnects_lost_total")), (1, 0));
}

#[test]
fn an_api_that_comes_back_late_in_a_drain_still_gets_its_delete() {
    let mut pair = with_a_delete_to_repeat(Duration::from_secs(100));
    pair.event(0, Event::Drain);
    // The repeats end after 15 s.
    for _ in 0..130 {
        if !pair.calls.is_empty() {
            pair.fail(CallError::Connect("down".to_owned()));
        }
        pair.pass(Duration::from_millis(100));
    }
    pair.pass(Duration::from_secs(1));
    pair.answer(200, "");
    assert_eq!((pair.drained, pair.metric("ws2http_disconnects_lost_total")), (1, 0));
}

#[test]
fn clients_that_are_refused_again_and_again_do_not_hold_the_end_up() {
    for request in [handshake("b", ""), "GET /-/healthy HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".to_owned()] {
        let mut pair = pair(|_| {});
        let sock = pair.open("a");
        pair.event(0, Event::Drain);
        pair.end(sock, SocketEnd::Eof);
        let mut stubborn = Vec::new();
        for round in 0..9 {
            if round == 2 {
                pair.answer(200, "");
            }
            assert_eq!(pair.drained, 0, "{round}");
            let sock = pair.socket();
            pair.send(sock, &request);
            stubborn.push(sock);
            pair.pass(Duration::from_millis(900));
        }
        // --close-timeout and a second after the DELETE; the last one has not been closed yet.
        assert_eq!((pair.drained, pair.sock(stubborn[8]).closed), (1, false));
        for sock in stubborn {
            assert!([200, 503].contains(&pair.sock(sock).take_http().status));
            assert!(pair.sock(sock).fin);
        }
        pair.pass(Duration::from_secs(100));
        assert_eq!(pair.drained, 1);
    }
}

#[test]
fn what_is_due_in_a_drain_is_done_though_something_else_happens_just_then() {
    let mut pair = pair(|config| config.ping_interval = None);
    let hangs = pair.open("a");
    for sock in [pair.open("b"), pair.open("c")] {
        pair.end(sock, SocketEnd::Eof);
        pair.answer(503, "");
    }
    // One repeat hangs, the other one waits for it.
    pair.pass(Duration::from_secs(1));
    pair.send(hangs, [text("1"), text("2")].concat());
    pair.end(hangs, SocketEnd::Reset);
    pair.event(0, Event::Drain);
    let mut something_happens_after = |seconds| {
        pair.pass(Duration::from_secs(seconds) - Duration::from_micros(1));
        pair.now = pair.now + Duration::from_micros(1);
        assert_eq!(pair.control("GET /-/healthy HTTP/1.1\r\nHost: g\r\n\r\n").status, 200);
        pair.pass(Duration::ZERO);
        (pair.metric("ws2http_disconnects_lost_total"), pair.drained)
    };
    assert_eq!(something_happens_after(15), (1, 0));
    assert_eq!(something_happens_after(60), (3, 1));
}
