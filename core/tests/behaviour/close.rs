//! Contract, section 6: exactly one DELETE.

use http::StatusCode;
use std::time::Duration;
use ws2http_core::{CallError, SocketEnd};

use crate::client::{Frame, close, frame, text};
use crate::pair::{Pair, pair};

fn delete(pair: &Pair) -> (String, String, String) {
    let call = &pair.calls[0];
    (call.line(), call.header("x-close-code").to_owned(), call.body())
}

fn expect(code: &str, body: &str) -> (String, String, String) {
    ("DELETE /base/a".to_owned(), code.to_owned(), body.to_owned())
}

#[test]
fn the_clients_close_is_answered_when_the_api_has_answered_the_delete() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, close(4001, "bye"));
    assert_eq!(delete(&pair), expect("4001", "bye"));
    assert_eq!(pair.sock(sock).frames(), []);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(4001, String::new())]);
    assert!(pair.sock(sock).fin);
    pair.end(sock, SocketEnd::Eof);
    assert!(pair.sock(sock).closed);
    pair.assert_empty();
}

#[test]
fn at_the_latest_the_close_is_answered_after_close_timeout() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, close(1000, ""));
    pair.pass(Duration::from_secs(4));
    assert_eq!(pair.sock(sock).frames(), []);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(1000, String::new())]);
    pair.answer(200, "");
    pair.pass(Duration::from_secs(10));
    assert!(pair.sock(sock).closed);
    pair.assert_empty();
}

#[test]
fn every_end_is_told_with_its_code_and_reason() {
    type End = fn(&mut Pair, usize);
    let ends: [(End, &str, &str); 8] = [
        (|pair, sock| pair.end(sock, SocketEnd::Eof), "1006", "EOF"),
        (|pair, sock| pair.end(sock, SocketEnd::Reset), "1006", "connection reset"),
        (|pair, sock| pair.end(sock, SocketEnd::Failed), "1006", "connection failed"),
        (|pair, sock| pair.send(sock, frame(0x88, "")), "1005", ""),
        (|pair, sock| pair.send(sock, frame(0xc1, "x")), "1002", "reserved bits are set"),
        (|pair, sock| pair.send(sock, frame(0x81, b"\xff")), "1007", "text is not UTF-8"),
        (|pair, sock| pair.send(sock, frame(0x82, vec![0; 2 << 20])), "1009", "message too big"),
        (|pair, _| pair.pass(Duration::from_secs(41)), "1006", "ping timeout"),
    ];
    for (end, code, body) in ends {
        let mut pair = pair(|_| {});
        let sock = pair.open("a");
        end(&mut pair, sock);
        assert_eq!(delete(&pair), expect(code, body));
        pair.answer(200, "");
        pair.pass(Duration::from_secs(10));
        assert!(pair.sock(sock).closed, "{body}");
        pair.assert_empty();
        assert_eq!(pair.log.len(), 2);
        assert_eq!(pair.metric("connections_closed"), 1);
    }
}

#[test]
fn the_delete_follows_the_answers_of_all_earlier_messages() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.send(sock, text("2"));
    pair.end(sock, SocketEnd::Reset);
    for expected in ["POST /base/a", "POST /base/a", "DELETE /base/a"] {
        assert_eq!(pair.asked(), [expected]);
        pair.answer(200, "for nobody");
    }
    pair.assert_empty();
}

#[test]
fn answers_that_come_between_the_two_close_frames_still_go_out() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, text("1"));
    pair.send(sock, close(1000, ""));
    pair.answer(200, "one");
    pair.answer(200, "");
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("one".to_owned()), Frame::Close(1000, String::new())]);
}

#[test]
fn a_delete_that_was_not_taken_is_repeated_until_it_is() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.end(sock, SocketEnd::Eof);
    pair.answer(503, "");
    assert_eq!(pair.asked(), Vec::<String>::new());
    pair.pass(Duration::from_secs(1));
    pair.fail(CallError::Connect("refused".to_owned()));
    pair.pass(Duration::from_secs(1));
    assert_eq!(delete(&pair), expect("1006", "EOF"));
    pair.pass(Duration::from_secs(61));
    assert_eq!(pair.cancelled, 1);
    pair.pass(Duration::from_secs(5));
    pair.answer(404, "");
    assert_eq!(pair.metric("ws2http_disconnects_repeated_total"), 3);
    assert_eq!(pair.metric("ws2http_disconnects_lost_total"), 0);
    pair.pass(Duration::from_secs(600));
    pair.assert_empty();
}

#[test]
fn a_delete_is_given_up_after_disconnect_retry() {
    let mut pair = pair(|config| config.disconnect_retry = Duration::from_secs(20));
    let sock = pair.open("a");
    pair.end(sock, SocketEnd::Eof);
    for _ in 0..100 {
        if pair.calls.is_empty() {
            pair.pass(Duration::from_millis(500));
        } else {
            pair.answer(500, "");
        }
    }
    pair.assert_empty();
    assert_eq!(pair.metric("ws2http_disconnects_lost_total"), 1);
    assert!((4..12).contains(&(pair.log.len() - 1)), "{}", pair.log.len());
    let lost = |report: &ws2http_core::Report| matches!(report, ws2http_core::Report::DisconnectLost { .. });
    assert_eq!(pair.reports.iter().filter(|report| lost(report)).count(), 1);
}

#[test]
fn repeats_of_many_do_not_trample_an_api_that_comes_back() {
    let mut pair = pair(|_| {});
    let socks: Vec<usize> = (0..50).map(|number| pair.open(&format!("c{number}"))).collect();
    for sock in socks {
        pair.end(sock, SocketEnd::Eof);
        pair.answer(503, "");
    }
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.calls.len(), 1);
    pair.answer(200, "");
    assert_eq!(pair.calls.len(), 2);
    pair.answer(200, "");
    pair.answer(200, "");
    assert!(pair.calls.len() > 2);
    while !pair.calls.is_empty() {
        pair.answer(200, "");
    }
    pair.assert_empty();
}

#[test]
fn the_gateways_own_close_waits_for_the_clients_and_then_ends() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    assert_eq!(pair.control("DELETE /a?code=4000&reason=go HTTP/1.1\r\nHost: g\r\n\r\n").status, 200);
    assert_eq!(delete(&pair), expect("4000", "go"));
    pair.answer(200, "");
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(4000, "go".to_owned())]);
    assert!(!pair.sock(sock).fin);
    // What it still sends is not the API's business any more.
    pair.send(sock, [text("crossed"), close(4000, "")].concat());
    assert!(pair.sock(sock).fin);
    pair.pass(Duration::from_secs(5));
    assert!(pair.sock(sock).closed);
    assert_eq!(pair.log, ["GET /base/a", "DELETE /base/a"]);
}

#[test]
fn our_close_in_the_middle_of_a_clients_frame_does_not_lose_the_place() {
    let message = text(&"x".repeat(300));
    for cut in 1..10 {
        let mut pair = pair(|_| {});
        let sock = pair.open("a");
        pair.send(sock, &message[..cut]);
        pair.control("DELETE /a HTTP/1.1\r\nHost: g\r\n\r\n");
        pair.send(sock, &message[cut..]);
        assert!(!pair.sock(sock).fin, "{cut} bytes");
        pair.send(sock, close(1000, ""));
        assert!(pair.sock(sock).fin, "{cut} bytes");
        assert_eq!(pair.log, ["GET /base/a", "DELETE /base/a"]);
    }
}

#[test]
fn our_close_finds_the_clients_among_what_waited_for_room() {
    let mut pair = pair(|config| config.receive_queue_messages = 1);
    let sock = pair.open("a");
    let (half, rest) = (close(1000, ""), text("rest"));
    pair.send(sock, [text("1"), text("2"), text("3"), half[..1].to_vec()].concat());
    pair.control("DELETE /a HTTP/1.1\r\nHost: g\r\n\r\n");
    assert!(!pair.sock(sock).fin);
    pair.send(sock, &half[1..]);
    assert!(pair.sock(sock).fin);
    // All of it is there already.
    let sock = pair.open("b");
    pair.send(sock, [text("1"), text("2"), rest, half].concat());
    pair.control("DELETE /b HTTP/1.1\r\nHost: g\r\n\r\n");
    assert!(pair.sock(sock).fin);
    assert_eq!(pair.sock(sock).frames(), [Frame::Close(1000, String::new())]);
}

#[test]
fn a_client_that_never_answers_our_close_is_dropped() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.control("DELETE /a HTTP/1.1\r\nHost: g\r\n\r\n");
    pair.answer(200, "");
    pair.pass(Duration::from_secs(5));
    assert!(pair.sock(sock).closed);
    pair.assert_empty();
}

#[test]
fn the_size_of_the_answer_to_a_delete_does_not_matter() {
    let page = "x".repeat(2_000);
    for answer in [Ok((200, page.clone())), Ok((404, page)), Err(CallError::TooLarge(StatusCode::NOT_FOUND))] {
        let mut pair = pair(|config| config.max_message = 1_000);
        let sock = pair.open("a");
        pair.end(sock, SocketEnd::Eof);
        match answer {
            Ok((status, body)) => pair.answer(status, body),
            Err(error) => pair.fail(error),
        }
        pair.assert_empty();
    }
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.end(sock, SocketEnd::Eof);
    pair.fail(CallError::TooLarge(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(pair.metric("ws2http_disconnects_pending"), 1);
}

#[test]
fn a_delete_that_waits_for_others_to_be_repeated_is_given_up_after_disconnect_retry() {
    let mut pair = pair(|config| config.disconnect_retry = Duration::from_secs(20));
    for sock in [pair.open("a"), pair.open("b")] {
        pair.end(sock, SocketEnd::Eof);
        pair.answer(503, "");
    }
    // While they fail, one repeat is under way at a time; this one hangs.
    pair.pass(Duration::from_secs(1));
    let hanging = pair.asked();
    assert_eq!(hanging.len(), 1);
    let waiting = if hanging[0] == "DELETE /base/a" { "b" } else { "a" };
    let lost = |pair: &mut Pair| pair.metric("ws2http_disconnects_lost_total");
    pair.pass(Duration::from_millis(18_900));
    assert_eq!(lost(&mut pair), 0);
    pair.pass(Duration::from_millis(100));
    assert_eq!((lost(&mut pair), pair.metric("ws2http_disconnects_pending")), (1, 1));
    let back = pair.handshake(waiting);
    assert_eq!(pair.asked(), [hanging[0].clone(), format!("GET /base/{waiting}")]);
    pair.calls.swap(0, 1);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(back).take_http().status, 101);
    // What is under way may still be taken.
    pair.answer(200, "");
    assert_eq!((lost(&mut pair), pair.metric("ws2http_disconnects_pending")), (1, 0));
    pair.pass(Duration::from_secs(30));
    assert_eq!(lost(&mut pair), 1);
}
