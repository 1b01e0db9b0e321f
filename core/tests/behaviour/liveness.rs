//! Contract, sections 5 and 8: signs of life, stalled readers.

use std::time::Duration;

use crate::client::{Frame, frame, text};
use crate::pair::pair;

#[test]
fn a_quiet_client_is_pinged_and_dropped_when_it_does_not_answer() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(29));
    assert_eq!(pair.sock(sock).frames(), []);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
    pair.pass(Duration::from_secs(9));
    assert!(!pair.sock(sock).closed);
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
    assert_eq!(pair.calls[0].body(), "ping timeout");
}

#[test]
fn a_pong_timeout_longer_than_the_ping_interval_does_not_stretch_the_interval() {
    let mut pair = pair(|config| {
        config.ping_interval = Some(Duration::from_secs(1));
        config.pong_timeout = Duration::from_secs(10);
    });
    let sock = pair.open("a");
    for _ in 0..5 {
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
        pair.send(sock, frame(0x8a, ""));
    }
    pair.pass(Duration::from_secs(10));
    assert!(!pair.sock(sock).closed);
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
}

#[test]
fn any_traffic_is_a_sign_of_life() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(20));
    pair.send(sock, frame(0x89, ""));
    pair.pass(Duration::from_secs(29));
    assert_eq!(pair.sock(sock).frames(), [Frame::Pong(vec![])]);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
    pair.send(sock, text("not a pong"));
    pair.pass(Duration::from_secs(20));
    assert!(!pair.sock(sock).closed);
}

#[test]
fn a_part_of_a_close_frame_is_traffic_to_who_only_pings() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(30));
    pair.send(sock, [0x88]);
    pair.pass(Duration::from_secs(20));
    assert!(!pair.sock(sock).closed);
}

#[test]
fn pings_can_be_off() {
    let mut pair = pair(|config| config.ping_interval = None);
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(100_000));
    assert_eq!(pair.sock(sock).frames(), []);
    assert!(pair.shards[0].poll_timeout().is_none());
}

#[test]
fn a_client_whose_queue_makes_no_progress_is_dropped() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    assert_eq!(pair.push("a", "x").0, 200);
    pair.pass(Duration::from_secs(29));
    assert!(!pair.sock(sock).closed);
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
    assert_eq!((pair.calls[0].header("x-close-code"), pair.calls[0].body()), ("1006", "send timeout".to_owned()));
}

#[test]
fn a_slow_client_that_makes_progress_stays() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    for _ in 0..10 {
        pair.sock(sock).blocked = true;
        assert_eq!(pair.push("a", "x").0, 200);
        pair.pass(Duration::from_secs(25));
        pair.unblock(sock);
    }
    pair.pass(Duration::from_secs(5));
    assert!(!pair.sock(sock).closed);
}

#[test]
fn while_messages_wait_for_the_client_the_send_timeout_watches_also_after_a_ping() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
    pair.sock(sock).blocked = true;
    assert_eq!(pair.push("a", "x").0, 200);
    pair.pass(Duration::from_secs(29));
    assert!(!pair.sock(sock).closed);
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(sock).closed);
    assert_eq!(pair.calls[0].body(), "send timeout");
}

#[test]
fn a_pinged_client_that_takes_of_what_waits_for_it_lives() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
    pair.sock(sock).blocked = true;
    assert_eq!(pair.push("a", "x").0, 200);
    pair.pass(Duration::from_secs(9));
    // What is before the ping in its socket's buffers it may still have to read.
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("x".to_owned())]);
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.sock(sock).frames(), [Frame::Ping]);
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(sock).closed);
    assert_eq!(pair.calls[0].body(), "ping timeout");
}

#[test]
fn a_client_that_we_do_not_read_is_not_taken_for_dead() {
    let mut pair = pair(|config| {
        config.receive_queue_messages = 1;
        config.api_timeout = Duration::from_secs(1000);
    });
    let sock = pair.open("a");
    for _ in 0..10 {
        pair.send(sock, text("x"));
    }
    pair.pass(Duration::from_secs(500));
    assert!(!pair.sock(sock).closed);
}

#[test]
fn a_client_that_we_begin_to_read_again_has_time_to_show_life() {
    let mut pair = pair(|config| config.receive_queue_messages = 1);
    let sock = pair.open("a");
    pair.send(sock, text("under way"));
    pair.send(sock, text("waits: the queue is full"));
    let newcomer = pair.handshake("a");
    // It answered the ping, but nobody read that; it is read again in the moment in which its time is over.
    pair.now = pair.now + Duration::from_secs(10);
    pair.answer(200, "");
    pair.event(0, ws2http_core::Event::Timeout);
    assert!(!pair.sock(sock).closed);
    pair.send(sock, frame(0x8a, ""));
    assert_eq!(pair.sock(newcomer).take_http().status, 409);
}

#[test]
fn an_idle_gateway_wants_to_be_woken_only_for_pings() {
    let mut pair = pair(|_| {});
    for number in 0..100 {
        pair.open(&format!("c{number}"));
    }
    // Three rounds of pings, no pongs needed: each shard wakes once per client and round at most.
    let mut wakes = 0;
    let end = pair.now + Duration::from_secs(30);
    while let Some((at, _)) = pair.shards[0].poll_timeout().filter(|(at, _)| *at <= end) {
        pair.now = pair.now.max(at);
        pair.event(0, ws2http_core::Event::Timeout);
        wakes += 1;
    }
    assert!(wakes <= 200, "{wakes}");
}

#[test]
fn a_gateway_that_stood_still_looks_at_its_sockets_before_it_judges_them() {
    let mut pair = pair(|_| {});
    let (answered, silent) = (pair.open("a"), pair.open("b"));
    pair.pass(Duration::from_secs(30));
    // The pong comes in while nobody looks, for longer than it may take.
    pair.now = pair.now + Duration::from_secs(60);
    pair.event(0, ws2http_core::Event::Timeout);
    pair.send(answered, frame(0x8a, ""));
    pair.pass(Duration::from_secs(1));
    assert!(!pair.sock(answered).closed);
    assert!(pair.sock(silent).closed);
}

#[test]
fn an_answer_that_was_never_offered_to_the_socket_is_not_thrown_away() {
    use ws2http_core::{Action, Event, Out, Peer, Surface};
    let mut pair = pair(|config| config.max_connections = 0);
    let (gateway, mut out) = (&mut pair.shards[0], Out::new());
    let peer = Peer { address: [192, 0, 2, 7].into(), surface: Surface::Public };
    let conn = gateway.accept(pair.now, peer, &mut out);
    let mut handshake = crate::client::handshake("a", "").into_bytes();
    gateway.handle(pair.now, Event::Received(conn, &mut handshake), &mut out);
    // The driver is held up for longer than --close-timeout, again and again.
    for seconds in [6, 7, 14, 15] {
        gateway.handle(pair.now + Duration::from_secs(seconds), Event::Timeout, &mut out);
    }
    assert!(!out.actions.iter().any(|action| matches!(action, Action::Close(_))), "{:?}", out.actions);
    let mut buffer = Vec::new();
    gateway.transmit(conn, &mut buffer);
    assert!(buffer.starts_with(b"HTTP/1.1 503"));
}

#[test]
fn an_answer_is_not_thrown_away_before_a_gateway_that_stood_still_has_asked_its_sockets() {
    let mut pair = pair(|config| config.max_connections = 0);
    let sock = pair.socket();
    pair.sock(sock).blocked = true;
    let mut handshake = crate::client::handshake("a", "").into_bytes();
    let (conn, mut out) = (pair.sock(sock).conn, ws2http_core::Out::new());
    pair.shards[0].handle(pair.now, ws2http_core::Event::Received(conn, &mut handshake), &mut out);
    // Twice, for longer than --close-timeout.
    for _ in 0..2 {
        pair.now = pair.now + Duration::from_secs(6);
        pair.event(0, ws2http_core::Event::Timeout);
        // The driver offers it, but has not asked the system yet whether the socket takes anything.
        pair.event(0, ws2http_core::Event::Sent(conn, 0));
        pair.pass(Duration::from_millis(200));
        assert!(!pair.sock(sock).closed);
    }
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).take_http().status, 503);
}

#[test]
fn a_gateway_that_is_always_late_judges_in_the_end() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.pass(Duration::from_secs(30));
    for _ in 0..4 {
        pair.now = pair.now + Duration::from_secs(60);
        pair.event(0, ws2http_core::Event::Timeout);
        assert!(!pair.sock(sock).closed);
    }
    pair.now = pair.now + Duration::from_secs(60);
    pair.event(0, ws2http_core::Event::Timeout);
    assert!(pair.sock(sock).closed);
}
