//! Every limit is hit by a test.

use std::time::Duration;

use ws2http_core::{Action, Event, HandOff, Out, Peer, SocketEnd, Surface};

use crate::client::{Frame, frame, handshake, text};
use crate::pair::{Pair, pair, pair_of};

#[test]
fn one_connection_too_many_is_503_and_a_free_place_is_given_again() {
    let mut pair = pair(|config| config.max_connections = 2);
    let (a, _b) = (pair.open("a"), pair.handshake("b"));
    let c = pair.handshake("c");
    let answer = pair.sock(c).take_http();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    pair.answer(200, "ok");
    pair.end(a, SocketEnd::Eof);
    pair.answer(200, "");
    let d = pair.open("d");
    assert!(!pair.sock(d).closed);
}

#[test]
fn calls_over_max_api_connections_wait() {
    let mut pair = pair(|config| config.max_api_connections = 2);
    for id in ["a", "b", "c"] {
        pair.handshake(id);
    }
    assert_eq!(pair.asked(), ["GET /base/a", "GET /base/b"]);
    assert_eq!(pair.metric("ws2http_api_calls_waiting"), 1);
    pair.answer(200, "ok");
    assert_eq!(pair.asked(), ["GET /base/b", "GET /base/c"]);
}

#[test]
fn a_call_over_the_prompt_ones_waits_20_ms_at_most() {
    let mut pair = pair(|config| config.prompt_calls = 1);
    for id in ["a", "b", "c"] {
        pair.handshake(id);
    }
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.pass(Duration::from_millis(19));
    pair.answer(200, "ok");
    assert_eq!(pair.asked(), ["GET /base/b"]);
    pair.pass(Duration::from_millis(1));
    assert_eq!(pair.asked(), ["GET /base/b", "GET /base/c"]);
}

#[test]
fn a_connect_that_waits_too_long_for_a_free_call_is_504() {
    let mut pair = pair(|config| {
        config.max_api_connections = 1;
        config.ping_interval = None;
    });
    let sock = pair.open("a");
    pair.send(sock, text("slow"));
    pair.pass(Duration::from_secs(1));
    let new = pair.handshake("b");
    pair.pass(Duration::from_secs(59));
    // The slow call has timed out; the connect got its turn and has a second left of its own time.
    assert_eq!(pair.asked(), ["GET /base/b"]);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(new).take_http().status, 504);
}

#[test]
fn a_full_receive_queue_stops_reading_and_nothing_is_lost() {
    let mut pair = pair(|config| config.receive_queue_messages = 4);
    let sock = pair.open("a");
    for number in 0..20 {
        pair.send(sock, text(&number.to_string()));
    }
    // One under way, four waiting, the next one read and kept back; the rest is in the socket.
    assert_eq!(pair.metric("ws2http_api_calls_waiting"), 4);
    assert!(!pair.sock(sock).unread.is_empty());
    for number in 0..20 {
        assert_eq!(pair.calls[0].body(), number.to_string());
        pair.answer(200, "");
    }
    assert!(pair.sock(sock).unread.is_empty());
}

#[test]
fn many_messages_in_one_read_wait_within_the_limit() {
    let mut pair = pair(|config| config.receive_queue_messages = 4);
    let sock = pair.open("a");
    let all: Vec<u8> = (0..100).flat_map(|number| text(&number.to_string())).collect();
    pair.send(sock, all);
    for number in 0..100 {
        assert!(pair.metric("ws2http_api_calls_waiting") <= 4);
        assert_eq!(pair.calls[0].body(), number.to_string());
        pair.answer(200, "");
    }
}

#[test]
fn the_receive_queue_is_bounded_in_bytes() {
    let mut pair = pair(|config| config.receive_queue_bytes = 1000);
    let sock = pair.open("a");
    for _ in 0..10 {
        pair.send(sock, text(&"x".repeat(600)));
    }
    assert_eq!(pair.metric("ws2http_api_calls_waiting"), 2);
}

#[test]
fn a_full_send_queue_refuses_pushes_and_keeps_what_it_has() {
    let mut pair = pair(|config| config.send_queue = 200);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    assert_eq!(pair.push("a", &"x".repeat(60)).0, 200);
    let answer = pair.control(&format!("POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 60\r\n\r\n{}", "y".repeat(60)));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(pair.push("a", "z").0, 200);
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("x".repeat(60)), Frame::Text("z".to_owned())]);
    assert_eq!(pair.push("a", &"y".repeat(60)).0, 200);
}

#[test]
fn pushes_that_wait_for_the_101_are_bounded_too() {
    let mut pair = pair(|config| config.send_queue = 100);
    let _sock = pair.handshake("a");
    assert_eq!(pair.push("a", &"x".repeat(90)).0, 202);
    assert_eq!(pair.push("a", &"x".repeat(90)).0, 503);
}

#[test]
fn a_client_that_does_not_read_its_answers_gets_no_more_calls() {
    let mut pair = pair(|config| config.send_queue = 100);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    for _ in 0..10 {
        pair.send(sock, text("again"));
    }
    pair.answer(200, "x".repeat(200));
    assert!(pair.calls.is_empty());
    pair.unblock(sock);
    assert_eq!(pair.calls.len(), 1);
}

#[test]
fn pongs_to_a_client_that_does_not_read_are_bounded() {
    let mut pair = pair(|config| config.send_queue = 1000);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    for _ in 0..1000 {
        pair.send(sock, frame(0x89, [0; 100]));
    }
    assert!(pair.sock(sock).unread.len() > 50_000);
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames().len(), 1000);
}

/// How many pings of so many bytes are read from a client that takes no pong.
fn pings_read(payload: usize) -> usize {
    let mut pair = pair(|config| config.send_queue = 64_000);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    for _ in 0..2_000 {
        pair.send(sock, frame(0x89, vec![b'x'; payload]));
    }
    let read = 2_000 - pair.sock(sock).unread.len() / (6 + payload);
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames().len(), 2_000);
    read
}

#[test]
fn a_frame_that_waits_counts_for_itself_and_for_what_holds_it() {
    // 64 bytes hold a frame, 2 are its head.
    assert_eq!(pings_read(0), 64_000usize.div_ceil(64 + 2));
    assert_eq!(pings_read(62), 64_000 / (64 + 64));
}

#[test]
fn small_pushes_count_for_what_holds_them() {
    let mut pair = pair(|config| config.send_queue = 64_000);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    let taken = (0..2_000).take_while(|_| pair.push("a", "x").0 == 200).count();
    assert_eq!(taken, 64_000 / (64 + 3));
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames().len(), taken);
    assert_eq!(pair.push("a", "x").0, 200);
}

#[test]
fn a_message_counts_until_all_of_it_is_written() {
    let mut pair = pair(|config| config.send_queue = 1_000);
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    assert_eq!(pair.push("a", &"x".repeat(800)).0, 200);
    let (shard, conn) = (pair.sock(sock).shard, pair.sock(sock).conn);
    pair.event(shard, Event::Sent(conn, 700));
    assert_eq!(pair.push("a", &"y".repeat(100)).0, 503);
    pair.event(shard, Event::Sent(conn, 104));
    assert_eq!(pair.push("a", &"y".repeat(100)).0, 200);
}

#[test]
fn a_socket_that_takes_nothing_is_not_tried_for_each_frame() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.sock(sock).blocked = true;
    pair.send(sock, frame(0x89, ""));
    let before = pair.transmits;
    for _ in 0..100 {
        pair.send(sock, frame(0x89, ""));
        pair.push("a", "x");
    }
    assert_eq!(pair.transmits, before + 100, "only the answers to the pushes");
    pair.unblock(sock);
    assert_eq!(pair.sock(sock).frames().len(), 201);
    pair.push("a", "x");
    assert_eq!(pair.sock(sock).frames().len(), 1);
}

#[test]
fn a_message_may_be_exactly_max_message_long() {
    let mut pair = pair(|config| config.max_message = 100);
    let sock = pair.open("a");
    pair.send(sock, text(&"x".repeat(100)));
    pair.answer(200, "y".repeat(100));
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("y".repeat(100))]);
    pair.send(sock, text("x"));
    pair.answer(200, "y".repeat(101));
    assert_eq!(pair.sock(sock).frames(), []);
    assert_eq!(pair.push("a", &"x".repeat(100)).0, 200);
    assert_eq!(pair.push("a", &"x".repeat(101)).0, 413);
}

#[test]
fn a_closing_client_that_does_not_read_gets_no_more_answers_made() {
    for reset in [false, true] {
        let mut pair = pair(|config| config.send_queue = 100);
        let sock = pair.open("a");
        pair.sock(sock).blocked = true;
        for message in ["one", "two", "three"] {
            pair.send(sock, text(message));
        }
        pair.send(sock, frame(0x88, ""));
        pair.answer(200, "x".repeat(100));
        assert_eq!(pair.asked(), Vec::<String>::new());
        if reset {
            pair.end(sock, SocketEnd::Reset);
        } else {
            // The close frame is answered now: what else is answered goes nowhere.
            pair.pass(Duration::from_secs(5));
        }
        for message in ["two", "three"] {
            assert_eq!(pair.calls[0].body(), message);
            pair.answer(200, "x".repeat(100));
        }
        assert_eq!(pair.asked(), ["DELETE /base/a"]);
        pair.answer(200, "");
        pair.pass(Duration::from_secs(40));
        pair.assert_empty();
    }
}

#[test]
fn one_socket_too_many_is_closed_unread_but_for_control_requests() {
    let mut pair = pair_of(2, |config| {
        config.max_sockets = 2;
        config.control_listener = true;
    });
    let (idle, client) = (pair.socket(), pair.socket_at(1, Surface::Public));
    let refused = pair.socket();
    assert!(pair.sock(refused).closed);
    let control = pair.socket_at(0, Surface::Control);
    pair.send(control, "GET /metrics HTTP/1.1\r\nHost: g\r\n\r\n");
    assert!(pair.sock(control).take_http().body.contains("ws2http_refusals_total{reason=\"capacity\"} 1\n"));
    pair.end(control, SocketEnd::Eof);
    // Wherever the client's home is, its socket counts as one.
    pair.send(client, handshake("a", ""));
    pair.answer(200, "ok");
    let refused = pair.socket();
    assert!(pair.sock(refused).closed);
    pair.end(idle, SocketEnd::Eof);
    let taken = pair.socket();
    assert!(!pair.sock(taken).closed);
}

#[test]
fn a_socket_on_its_way_to_another_shard_counts() {
    for drains in [false, true] {
        let mut pair = pair_of(2, |config| config.max_sockets = 1);
        // Of some ids one has its home on the other shard.
        let (home, handoff) = ["a", "b", "c", "d", "e"].iter().find_map(|id| hand_off(&mut pair, id)).unwrap();
        let refused = |pair: &mut Pair| {
            let sock = pair.socket();
            pair.sock(sock).closed
        };
        assert!(refused(&mut pair));
        if drains {
            pair.event(home, Event::Drain);
        }
        let conn = pair.shards[home].adopt(pair.now, handoff, &mut Out::new());
        assert!(refused(&mut pair));
        pair.event(home, Event::SocketEnded(conn, SocketEnd::Reset));
        assert!(!refused(&mut pair));
    }
}

/// A connect at shard 0 that its home, another shard, has not got yet.
fn hand_off(pair: &mut Pair, id: &str) -> Option<(usize, HandOff)> {
    let (mut out, peer) = (Out::new(), Peer { address: [192, 0, 2, 7].into(), surface: Surface::Public });
    let conn = pair.shards[0].accept(pair.now, peer, &mut out);
    pair.shards[0].handle(pair.now, Event::Received(conn, &mut handshake(id, "").into_bytes()), &mut out);
    // Where its home is shard 0, it leaves again.
    pair.shards[0].handle(pair.now, Event::SocketEnded(conn, SocketEnd::Reset), &mut out);
    out.actions.into_iter().find_map(|action| match action {
        Action::HandOff(_, home, handoff) => Some((usize::from(home.0), *handoff)),
        _ => None,
    })
}
