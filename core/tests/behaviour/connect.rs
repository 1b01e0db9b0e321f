//! Contract, section 3: from the handshake to the 101 or a refusal.

use bytes::Bytes;
use http::{Response, StatusCode};
use std::time::Duration;
use ws2http_core::{CallError, Event, OriginPattern, SocketEnd};

use crate::client::{Frame, close, handshake, text};
use crate::pair::pair;

fn with_protocol(offered: &str) -> String {
    handshake("a", &format!("Sec-WebSocket-Protocol: {offered}\r\n"))
}

fn ok_with(name: &str, value: &str) -> Response<Bytes> {
    Response::builder().header(name, value).body(Bytes::from_static(b"ok")).unwrap()
}

#[test]
fn ok_opens_the_websocket() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, handshake("alice?token=1%202", ""));
    assert_eq!(pair.asked(), ["GET /base/alice?token=1%202"]);
    assert!(pair.sock(sock).received.is_empty());
    pair.answer(200, " ok\r\n");
    let answer = pair.sock(sock).take_http();
    assert_eq!(answer.status, 101);
    // The key and its answer of RFC 6455, section 1.3.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(pair.metric("active_connections"), 1);
}

#[test]
fn the_get_carries_the_clients_headers_and_not_the_handshakes() {
    let mut pair = pair(|config| {
        config.api_headers = vec![("x-secret".parse().unwrap(), "s".parse().unwrap())];
    });
    let sock = pair.socket();
    let more = "Cookie: a=b\r\nOrigin: https://x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Connection-Id: forged\r\n\
                X-Secret: forged\r\nAccept-Encoding: gzip\r\nKeep-Alive: 5\r\n";
    pair.send(sock, handshake("a", more));
    let call = &pair.calls[0];
    assert_eq!(call.header("host"), "api:8000");
    assert_eq!(call.header("cookie"), "a=b");
    assert_eq!(call.header("origin"), "https://x");
    assert_eq!(call.header("x-forwarded-for"), "10.0.0.1, 192.0.2.7");
    assert_eq!(call.header("x-secret"), "s");
    assert!(call.header("x-connection-id").len() > 16);
    for absent in
        ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "accept-encoding", "keep-alive"]
    {
        assert!(!call.request.headers().contains_key(absent), "{absent}");
    }
}

#[test]
fn the_apis_answer_decides() {
    for (status, body, told, said) in [
        (200, "not today", 403, "not today"),
        (201, "ok", 101, ""),
        (404, "who?", 404, "who?"),
        (302, "ok", 502, "bad gateway"),
        (500, "ok", 502, "bad gateway"),
    ] {
        let mut pair = pair(|_| {});
        let sock = pair.handshake("a");
        pair.answer(status, body);
        let answer = pair.sock(sock).take_http();
        assert_eq!((answer.status, answer.body.as_str()), (told, said), "{status}");
        if told != 101 {
            assert!(pair.sock(sock).fin);
            pair.pass(Duration::from_secs(400));
            assert_eq!(pair.log, ["GET /base/a"]);
            assert_eq!(pair.metric("active_connections"), 0);
        }
    }
}

#[test]
fn an_api_that_is_down_is_502_and_one_that_hangs_504() {
    let mut pair = pair(|_| {});
    let down = pair.handshake("a");
    pair.fail(CallError::Connect("refused".to_owned()));
    assert_eq!(pair.sock(down).take_http().status, 502);
    let hangs = pair.handshake("a");
    pair.pass(Duration::from_secs(59));
    assert!(pair.sock(hangs).received.is_empty());
    let late = pair.calls[0].id;
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.sock(hangs).take_http().status, 504);
    assert_eq!(pair.cancelled, 1);
    // An ok that is late lets nobody in, and is owed no DELETE.
    pair.event(0, Event::Reply(late, Ok(Response::new(Bytes::from_static(b"ok")))));
    assert_eq!(pair.asked(), Vec::<String>::new());
    assert_eq!(pair.push("a", "hi").0, 404);
    assert_eq!(pair.metric("requests_failed"), 2);
}

#[test]
fn bad_handshakes_never_reach_the_api() {
    let good = handshake("a", "");
    for (wrong, with, status) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("Upgrade: websocket\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Host: gateway\r\n", "Host: gateway\r\nContent-Length: 3\r\n", 400),
        ("GET /a ", "GET /%2e%2e ", 400),
        ("GET /a ", "GET /- ", 400),
        ("GET /a ", "GET /a/b ", 404),
        ("GET /a ", "GET / ", 400),
    ] {
        let mut pair = pair(|_| {});
        let sock = pair.socket();
        pair.send(sock, good.replace(wrong, with));
        let answer = pair.sock(sock).take_http();
        assert_eq!(answer.status, status, "{wrong:?} -> {with:?}");
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
        assert!(pair.log.is_empty());
    }
}

#[test]
fn a_get_without_a_handshake_is_426() {
    let mut pair = pair(|_| {});
    let answer = pair.control("GET /a HTTP/1.1\r\nHost: g\r\n\r\n");
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert!(pair.log.is_empty());
}

#[test]
fn frames_that_come_with_the_handshake_are_handled_after_the_101() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, [handshake("a", "").into_bytes(), text("early")].concat());
    pair.send(sock, text("later"));
    pair.answer(200, "ok");
    assert_eq!(pair.calls[0].body(), "early");
    pair.answer(200, "");
    assert_eq!(pair.calls[0].body(), "later");
}

#[test]
fn early_frames_are_bounded() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    for _ in 0..100 {
        pair.send(sock, text(&"x".repeat(1000)));
    }
    assert!(pair.sock(sock).unread.len() > 20_000, "{}", pair.sock(sock).unread.len());
    pair.answer(200, "ok");
    for _ in 0..100 {
        pair.answer(200, "");
    }
    assert_eq!(pair.log.len(), 101);
}

#[test]
fn the_api_picks_an_offered_subprotocol() {
    let mut pair = pair(|config| config.subprotocols = vec!["v2".to_owned()]);
    let sock = pair.socket();
    pair.send(sock, with_protocol("v1, v2"));
    pair.respond(ok_with("sec-websocket-protocol", "v1"));
    assert_eq!(pair.sock(sock).take_http().header("sec-websocket-protocol"), Some("v1"));
}

#[test]
fn more_than_64_offered_subprotocols_are_refused_and_nobody_is_asked() {
    let names = |count: usize| (0..count).map(|number| format!("v{number}")).collect::<Vec<_>>();
    let mut pair = pair(|_| {});
    let (fine, refused, over_lines) = (pair.socket(), pair.socket(), pair.socket());
    pair.send(fine, with_protocol(&names(64).join(", ")));
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(fine).take_http().status, 101);
    pair.send(refused, with_protocol(&names(65).join(", ")));
    // The names of all lines count together.
    pair.send(over_lines, with_protocol(&format!("one\r\nSec-WebSocket-Protocol: {}", names(64).join(","))));
    for sock in [refused, over_lines] {
        let answer = pair.sock(sock).take_http();
        assert_eq!((answer.status, answer.body.as_str()), (400, "over 64 subprotocols are offered"));
    }
    assert_eq!(pair.log, ["GET /base/a"]);
}

#[test]
fn without_the_apis_word_a_configured_subprotocol_is_picked_or_none() {
    for (offered, picked) in [("v1, v2", Some("v2")), ("v1", None)] {
        let mut pair = pair(|config| config.subprotocols = vec!["v3".to_owned(), "v2".to_owned()]);
        let sock = pair.socket();
        pair.send(sock, with_protocol(offered));
        pair.answer(200, "ok");
        assert_eq!(pair.sock(sock).take_http().header("sec-websocket-protocol"), picked);
    }
}

#[test]
fn a_subprotocol_that_was_not_offered_is_502_and_the_api_gets_its_delete() {
    let mut pair = pair(|_| {});
    let sock = pair.socket();
    pair.send(sock, with_protocol("v1"));
    pair.respond(ok_with("sec-websocket-protocol", "v9"));
    assert_eq!(pair.sock(sock).take_http().status, 502);
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    assert_eq!(pair.calls[0].header("x-close-code"), "1006");
    pair.answer(200, "");
    pair.assert_empty();
}

#[test]
fn cookies_that_the_api_sets_go_to_the_client() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    pair.respond(ok_with("set-cookie", "s=1; HttpOnly"));
    assert_eq!(pair.sock(sock).take_http().header("set-cookie"), Some("s=1; HttpOnly"));
}

#[test]
fn a_client_that_leaves_while_the_api_decides_is_followed_by_its_delete() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    pair.end(sock, SocketEnd::Eof);
    assert!(pair.sock(sock).closed);
    pair.answer(200, "ok");
    assert_eq!(pair.asked(), ["DELETE /base/a"]);
    assert_eq!((pair.calls[0].header("x-close-code"), pair.calls[0].body()), ("1006", "EOF".to_owned()));
    pair.answer(200, "");
    pair.assert_empty();
}

#[test]
fn a_client_that_leaves_before_its_call_went_out_leaves_no_trace() {
    let mut pair = pair(|config| config.max_api_connections = 1);
    let _first = pair.handshake("a");
    let second = pair.handshake("b");
    assert_eq!(pair.asked(), ["GET /base/a"]);
    pair.end(second, SocketEnd::Reset);
    pair.answer(200, "no");
    assert_eq!(pair.log, ["GET /base/a"]);
    pair.assert_empty();
}

#[test]
fn a_push_while_the_api_decides_is_queued_and_delivered_first() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    assert_eq!(pair.push("a", "one"), (202, "queued".to_owned()));
    assert_eq!(pair.push("a", "two"), (202, "queued".to_owned()));
    assert!(pair.sock(sock).received.is_empty());
    pair.answer(200, "ok");
    assert_eq!(pair.sock(sock).take_http().status, 101);
    assert_eq!(pair.sock(sock).frames(), [Frame::Text("one".to_owned()), Frame::Text("two".to_owned())]);
}

#[test]
fn queued_pushes_are_dropped_when_the_api_refuses() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    assert_eq!(pair.push("a", "one").0, 202);
    pair.answer(403, "no");
    assert_eq!(pair.sock(sock).take_http().status, 403);
    assert!(pair.sock(sock).received.is_empty());
    assert_eq!(pair.push("a", "one").0, 404);
}

#[test]
fn only_listed_origins_connect() {
    let mut pair = pair(|config| config.origins = vec![OriginPattern::parse("https://good.example").unwrap()]);
    for (origin, status) in [("", 403), ("Origin: https://bad.example\r\n", 403)] {
        let sock = pair.socket();
        pair.send(sock, handshake("a", origin));
        assert_eq!(pair.sock(sock).take_http().status, status);
    }
    assert!(pair.log.is_empty());
    let sock = pair.socket();
    pair.send(sock, handshake("a", "Origin: https://good.example\r\n"));
    assert_eq!(pair.asked().len(), 1);
}

#[test]
fn refusals_in_band_complete_the_handshake_and_close() {
    let mut pair = pair(|config| config.refuse_in_band = true);
    for (status, body, code, reason) in
        [(200, "no ü", 1008, "no ü"), (401, "who?", 1008, "who?"), (500, "", 1011, "bad gateway")]
    {
        let sock = pair.handshake("a");
        pair.answer(status, body);
        assert_eq!(pair.sock(sock).take_http().status, 101);
        assert_eq!(pair.sock(sock).frames(), [Frame::Close(code, reason.to_owned())]);
        pair.send(sock, close(code, ""));
        assert!(pair.sock(sock).fin);
    }
    assert_eq!(pair.log.len(), 3);
    assert_eq!(pair.metric("connections_opened"), 0);
}

#[test]
fn a_refusal_in_band_does_not_lose_the_place_among_early_frames() {
    let mut pair = pair(|config| config.refuse_in_band = true);
    let sock = pair.handshake("a");
    let early = [text("early"), close(1000, "")].concat();
    pair.send(sock, &early[..1]);
    pair.answer(403, "no");
    pair.send(sock, &early[1..11]);
    assert!(!pair.sock(sock).fin);
    pair.send(sock, &early[11..]);
    assert!(pair.sock(sock).fin);
}

#[test]
fn a_call_given_back_unsent_is_made_again_on_a_fresh_connection() {
    let mut pair = pair(|_| {});
    let sock = pair.handshake("a");
    pair.fail(CallError::Unsent);
    assert_eq!(pair.asked(), ["GET /base/a"]);
    assert!(pair.calls[0].fresh);
    pair.answer(200, "ok");
    assert_eq!(pair.sock(sock).take_http().status, 101);
    assert_eq!(pair.metric("requests_started"), 1);
}

#[test]
fn connection_options_may_be_separated_by_tabs_and_headers() {
    for connection in ["Connection: keep-alive,\tUPGRADE", "Connection: keep-alive\r\nConnection: Upgrade"] {
        let mut pair = pair(|_| {});
        let sock = pair.socket();
        pair.send(sock, handshake("a", "").replace("Connection: Upgrade", connection));
        assert_eq!(pair.asked(), ["GET /base/a"], "{connection}");
    }
}

#[test]
fn of_a_refusal_that_is_too_large_the_status_remains() {
    let page = "x".repeat(2_000);
    let answers = [Ok((401, 401)), Ok((200, 502)), Ok((500, 502)), Err((StatusCode::UNAUTHORIZED, 401))];
    for answer in answers {
        let mut pair = pair(|config| config.max_message = 1_000);
        let sock = pair.handshake("a");
        let expected = match answer {
            Ok((status, expected)) => {
                pair.answer(status, page.clone());
                expected
            }
            Err((status, expected)) => {
                pair.fail(CallError::TooLarge(status));
                expected
            }
        };
        assert_eq!(pair.sock(sock).take_http().status, expected);
        pair.assert_empty();
    }
}
