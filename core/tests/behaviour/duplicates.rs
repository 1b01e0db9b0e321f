//! Contract, section 7 and the end of 6: one id, one connection.

use std::time::Duration;
use ws2http_core::{Event, OnDuplicate, SocketEnd};

use crate::client::{Frame, close, frame, text};
use crate::pair::{Pair, pair};

fn with(policy: OnDuplicate) -> Pair {
    pair(|config| {
        config.on_duplicate = policy;
        config.ping_interval = None;
    })
}

#[test]
fn challenge_refuses_the_new_one_when_the_old_one_answers() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    let new = pair.handshake("a");
    assert_eq!(pair.sock(old).frames(), [Frame::Ping]);
    assert!(pair.sock(new).received.is_empty());
    pair.send(old, frame(0x8a, ""));
    assert_eq!(pair.sock(new).take_http().status, 409);
    assert_eq!(pair.log, ["GET /base/a"]);
    pair.pass(Duration::from_secs(60));
    assert!(!pair.sock(old).closed);
}

#[test]
fn challenge_drops_the_old_one_when_it_is_dead() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(old).closed);
    assert_eq!((pair.asked(), pair.calls[0].body()), (vec!["DELETE /base/a".to_owned()], "ping timeout".to_owned()));
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(new).take_http().status, 101);
    assert_eq!(pair.push("a", "hi").0, 200);
    assert_eq!(pair.sock(new).frames(), [Frame::Text("hi".to_owned())]);
}

#[test]
fn reject_refuses_at_once() {
    let mut pair = with(OnDuplicate::Reject);
    let _old = pair.open("a");
    let new = pair.handshake("a");
    assert_eq!(pair.sock(new).take_http().status, 409);
}

#[test]
fn reject_also_refuses_the_one_that_waited_for_the_first_to_be_let_in() {
    let mut pair = with(OnDuplicate::Reject);
    let old = pair.handshake("a");
    let new = pair.handshake("a");
    pair.answer(200, "ok");
    assert_eq!(pair.sock(old).take_http().status, 101);
    assert_eq!(pair.sock(new).take_http().status, 409);
}

#[test]
fn replace_authorises_then_closes_the_old_then_opens_the_new() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let new = pair.handshake("a");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    // Until the API says ok, the old one is the client.
    assert_eq!(pair.push("a", "still you").0, 200);
    pair.answer(200, "ok");
    assert_eq!(
        pair.sock(old).frames(),
        [Frame::Text("still you".to_owned()), Frame::Close(1008, "replaced".to_owned())]
    );
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    assert_eq!(pair.calls[0].body(), "replaced");
    assert!(pair.sock(new).received.is_empty());
    assert_eq!(pair.push("a", "new you").0, 202);
    pair.answer(200, "");
    assert_eq!(pair.sock(new).take_http().status, 101);
    assert_eq!(pair.sock(new).frames(), [Frame::Text("new you".to_owned())]);
}

#[test]
fn replace_leaves_the_old_one_alone_when_the_api_refuses() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.answer(403, "no");
    assert_eq!(pair.sock(new).take_http().status, 403);
    assert_eq!(pair.push("a", "hi").0, 200);
    assert_eq!(pair.sock(old).frames(), [Frame::Text("hi".to_owned())]);
}

#[test]
fn a_replacement_that_leaves_too_early_gets_its_delete_after_the_old_ones() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    pair.send(old, text("under way"));
    let new = pair.handshake("a");
    pair.calls.swap(0, 1);
    pair.end(new, SocketEnd::Eof);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(old).frames(), [Frame::Close(1008, "replaced".to_owned())]);
    let mut ids = Vec::new();
    for expected in ["POST /base/a", "DELETE /base/a", "DELETE /base/a"] {
        assert_eq!(pair.asked(), [expected]);
        ids.push(pair.calls[0].header("x-connection-id").to_owned());
        pair.answer(200, "");
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    pair.assert_empty();
}

#[test]
fn a_reconnect_waits_for_the_delete_of_the_connection_before_it() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.send(old, close(1000, ""));
    let new = pair.handshake("a");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(new).take_http().status, 101);
}

#[test]
fn a_reconnect_waits_no_longer_than_the_handshake_timeout() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.end(old, SocketEnd::Eof);
    pair.pass(Duration::from_secs(3));
    let new = pair.handshake("a");
    pair.pass(Duration::from_secs(9));
    assert!(pair.sock(new).received.is_empty());
    pair.pass(Duration::from_secs(1));
    let answer = pair.sock(new).take_http();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    pair.answer(200, "");
    pair.assert_empty();
}

#[test]
fn an_authorised_replacement_that_waits_too_long_gets_its_delete() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.answer(200, "ok");
    assert_eq!(pair.sock(old).frames().len(), 1);
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.sock(new).take_http().status, 503);
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    assert_eq!(pair.calls[0].body(), "handshake timeout");
    pair.answer(200, "");
    pair.assert_empty();
}

#[test]
fn only_so_many_connects_wait_for_one_id() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.end(old, SocketEnd::Eof);
    let waiting: Vec<usize> = (0..5).map(|_| pair.handshake("a")).collect();
    assert_eq!(pair.sock(waiting[4]).take_http().status, 503);
    // The one in front leaves: the next one takes its place.
    pair.end(waiting[0], SocketEnd::Reset);
    pair.answer(200, "");
    pair.answer(200, "ok");
    assert_eq!(pair.sock(waiting[1]).take_http().status, 101);
    // The others wait for it to show that it lives.
    assert_eq!(pair.sock(waiting[1]).frames(), [Frame::Ping]);
    pair.send(waiting[1], text("I do"));
    assert_eq!(pair.sock(waiting[2]).take_http().status, 409);
    assert_eq!(pair.sock(waiting[3]).take_http().status, 409);
}

#[test]
fn each_connection_has_an_id_of_its_own() {
    let mut pair = with(OnDuplicate::Reject);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let sock = pair.open("a");
        pair.end(sock, SocketEnd::Eof);
        ids.insert(pair.calls[0].header("x-connection-id").to_owned());
        pair.answer(200, "");
    }
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_replacement_let_in_while_the_old_one_is_ending_waits_no_longer_than_the_handshake_timeout() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.end(old, SocketEnd::Eof);
    // The GET is answered; the DELETE of the old connection is not.
    pair.answer(200, "ok");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.sock(new).take_http().status, 503);
}

/// A client that sends and takes nothing, until it is not read any more; and a second one of its id.
fn stuck_and_challenged() -> (Pair, usize, usize) {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.sock(old).blocked = true;
    while pair.sock(old).unread.is_empty() {
        pair.send(old, frame(0x89, [0; 125]));
    }
    let new = pair.handshake("a");
    (pair, old, new)
}

#[test]
fn challenge_drops_an_old_one_that_takes_nothing_of_a_full_send_queue() {
    let (mut pair, old, new) = stuck_and_challenged();
    pair.pass(Duration::from_secs(9));
    assert!(pair.sock(new).received.is_empty(), "it has 10 s");
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(old).closed);
    assert_eq!((pair.asked(), pair.calls[0].body()), (vec!["DELETE /base/a".to_owned()], "ping timeout".to_owned()));
    pair.answer(200, "");
    pair.answer(200, "ok");
    assert_eq!(pair.sock(new).take_http().status, 101);
}

#[test]
fn challenge_spares_an_old_one_that_takes_something_of_a_full_send_queue() {
    let (mut pair, old, new) = stuck_and_challenged();
    pair.pass(Duration::from_secs(5));
    let (shard, conn) = (pair.sock(old).shard, pair.sock(old).conn);
    pair.event(shard, Event::Sent(conn, 1));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.sock(new).take_http().status, 409);
    assert!(!pair.sock(old).closed);
}

#[test]
fn challenge_spares_an_old_one_that_takes_something_of_the_pushes_before_the_ping() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.sock(old).blocked = true;
    assert_eq!(pair.push("a", "long").0, 200);
    let new = pair.handshake("a");
    pair.pass(Duration::from_secs(5));
    assert!(pair.sock(new).received.is_empty());
    let (shard, conn) = (pair.sock(old).shard, pair.sock(old).conn);
    pair.event(shard, Event::Sent(conn, 1));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.sock(new).take_http().status, 409);
    assert!(!pair.sock(old).closed);
    // The next one has to wait for a sign of its own.
    let next = pair.handshake("a");
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(old).closed && pair.sock(next).received.is_empty());
}

#[test]
fn challenge_drops_an_old_one_of_which_only_the_socket_takes_a_long_push() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    let new = pair.handshake("a");
    // In several pieces, none of which finds the socket full.
    assert_eq!(pair.push("a", &"x".repeat(300_000)).0, 200);
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(old).closed && pair.sock(new).received.is_empty());
}

#[test]
fn a_challenge_has_time_of_its_own_behind_messages_that_wait() {
    let mut pair = pair(|_| {});
    let old = pair.open("a");
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.sock(old).frames(), [Frame::Ping]);
    pair.sock(old).blocked = true;
    assert_eq!(pair.push("a", "long").0, 200);
    pair.pass(Duration::from_secs(9));
    let new = pair.handshake("a");
    pair.pass(Duration::from_secs(9));
    assert!(!pair.sock(old).closed && pair.sock(new).received.is_empty());
    pair.pass(Duration::from_secs(1));
    assert!(pair.sock(old).closed);
}

#[test]
fn challenge_spares_an_old_one_that_is_not_read_because_the_api_is_slow() {
    let mut pair = pair(|config| {
        config.receive_queue_messages = 1;
        config.ping_interval = None;
    });
    let old = pair.open("a");
    for _ in 0..4 {
        pair.send(old, text("wait"));
    }
    assert!(!pair.sock(old).unread.is_empty());
    let new = pair.handshake("a");
    pair.pass(Duration::from_secs(10));
    assert_eq!(pair.sock(new).take_http().status, 409);
    assert!(!pair.sock(old).closed);
}

#[test]
fn behind_a_refused_replacement_the_next_one_has_its_turn() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let (refused, next) = (pair.handshake("a"), pair.handshake("a"));
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(403, "no");
    assert_eq!(pair.sock(refused).take_http().status, 403);
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(old).frames(), [Frame::Close(1008, "replaced".to_owned())]);
    pair.answer(200, "");
    assert_eq!(pair.sock(next).take_http().status, 101);
}

#[test]
fn behind_a_replacement_that_left_unasked_the_next_one_has_its_turn() {
    let mut pair = pair(|config| {
        config.on_duplicate = OnDuplicate::Replace;
        config.max_api_connections = 1;
    });
    let (_old, busy) = (pair.open("a"), pair.open("b"));
    pair.send(busy, text("1"));
    let (left, next) = (pair.handshake("a"), pair.handshake("a"));
    pair.end(left, SocketEnd::Reset);
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(403, "no");
    assert_eq!(pair.sock(next).take_http().status, 403);
}

#[test]
fn a_challenged_client_that_says_goodbye_makes_way() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.send(old, close(1001, ""));
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    assert!(pair.sock(new).received.is_empty());
    pair.answer(200, "");
    pair.answer(200, "ok");
    assert_eq!(pair.sock(new).take_http().status, 101);
}

#[test]
fn a_challenged_client_that_says_goodbye_in_two_pieces_makes_way() {
    let goodbye = close(1001, "bye");
    for cut in 1..goodbye.len() {
        let mut pair = with(OnDuplicate::Challenge);
        let old = pair.open("a");
        let new = pair.handshake("a");
        pair.send(old, &goodbye[..cut]);
        assert!(pair.sock(new).received.is_empty(), "{cut} bytes");
        pair.pass(Duration::from_secs(9));
        pair.send(old, &goodbye[cut..]);
        assert_eq!((pair.asked(), pair.calls[0].body()), (vec!["DELETE /base/a".to_owned()], "bye".to_owned()));
        pair.answer(200, "");
        pair.answer(200, "ok");
        assert_eq!(pair.sock(new).take_http().status, 101);
    }
}

#[test]
fn a_challenged_client_that_never_ends_its_goodbye_is_dropped() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    let new = pair.handshake("a");
    pair.send(old, &close(1001, "")[..1]);
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(old).closed && pair.sock(new).received.is_empty());
}

#[test]
fn a_part_of_a_message_is_an_answer_to_a_challenge() {
    let message = text("I live");
    for cut in 1..message.len() {
        let mut pair = with(OnDuplicate::Challenge);
        let old = pair.open("a");
        let new = pair.handshake("a");
        pair.send(old, &message[..cut]);
        assert_eq!(pair.sock(new).take_http().status, 409, "{cut} bytes");
    }
}

#[test]
fn a_connect_waits_only_so_long_behind_one_whose_client_has_left() {
    let mut pair = with(OnDuplicate::Challenge);
    let (left, early) = (pair.handshake("a"), pair.handshake("a"));
    pair.end(left, SocketEnd::Reset);
    let late = pair.handshake("a");
    pair.pass(Duration::from_secs(10));
    assert_eq!([early, late].map(|sock| pair.sock(sock).take_http().status), [503, 503]);
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(403, "no");
    pair.assert_empty();
}

#[test]
fn a_push_can_name_the_connection_that_is_to_replace_another() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let new = pair.handshake("a");
    let id = pair.calls[0].header("x-connection-id").to_owned();
    let push =
        |id: &str| format!("POST /a HTTP/1.1\r\nHost: g\r\nIf-Match: \"{id}\"\r\nContent-Length: 7\r\n\r\nwelcome");
    assert_eq!(pair.control(&push(&id)).status, 202);
    assert_eq!(pair.control(&push("another")).status, 412);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(old).frames(), [Frame::Close(1008, "replaced".to_owned())]);
    pair.answer(200, "");
    assert_eq!(pair.sock(new).take_http().status, 101);
    assert_eq!(pair.sock(new).frames(), [Frame::Text("welcome".to_owned())]);
}

#[test]
fn a_connect_waits_for_the_decision_about_the_one_before_it_though_both_had_waited_for_a_delete() {
    let mut pair = with(OnDuplicate::Challenge);
    let old = pair.open("a");
    pair.end(old, SocketEnd::Eof);
    let (new, next) = (pair.handshake("a"), pair.handshake("a"));
    pair.pass(Duration::from_secs(1));
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.pass(Duration::from_secs(12));
    assert!(pair.sock(next).received.is_empty(), "{}", String::from_utf8_lossy(&pair.sock(next).received));
    pair.answer(403, "no");
    assert_eq!(pair.sock(new).take_http().status, 403);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(next).take_http().status, 101);
}

#[test]
fn a_connect_waits_for_the_decision_about_the_one_before_it_after_one_that_left_is_refused() {
    let mut pair = with(OnDuplicate::Replace);
    let _old = pair.open("a");
    let (left, new, next) = (pair.handshake("a"), pair.handshake("a"), pair.handshake("a"));
    pair.end(left, SocketEnd::Reset);
    pair.answer(403, "no");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.pass(Duration::from_secs(12));
    assert!(pair.sock(next).received.is_empty(), "{}", String::from_utf8_lossy(&pair.sock(next).received));
    pair.answer(403, "no");
    assert_eq!(pair.sock(new).take_http().status, 403);
    pair.answer(403, "no");
    assert_eq!(pair.sock(next).take_http().status, 403);
}

#[test]
fn a_connect_waits_no_longer_than_the_handshake_timeout_while_another_of_its_id_is_over() {
    let mut pair = with(OnDuplicate::Replace);
    let old = pair.open("a");
    let (new, next) = (pair.handshake("a"), pair.handshake("a"));
    // Two are over, one behind the other.
    pair.end(new, SocketEnd::Reset);
    pair.end(old, SocketEnd::Eof);
    pair.pass(Duration::from_secs(1));
    pair.calls.swap(0, 1);
    pair.answer(200, "");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.pass(Duration::from_secs(9));
    assert_eq!(pair.sock(next).take_http().status, 503);
}
