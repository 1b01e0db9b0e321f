//! Contract, sections 1 and 5: push, kick, HEAD, health.

use ws2http_core::{Secret, Surface};

use crate::client::{Frame, close, text};
use crate::pair::{Pair, pair};

fn request(pair: &mut Pair, line: &str, more: &str) -> u16 {
    pair.control(&format!("{line} HTTP/1.1\r\nHost: g\r\n{more}\r\n")).status
}

#[test]
fn a_push_goes_to_its_client_only() {
    let mut pair = pair(|_| {});
    let (a, b) = (pair.open("a"), pair.open("b"));
    assert_eq!(pair.push("a", "hé"), (200, "ok".to_owned()));
    assert_eq!(pair.push("a", ""), (200, "ok".to_owned()));
    assert_eq!(pair.sock(a).frames(), [Frame::Text("hé".to_owned()), Frame::Text(String::new())]);
    assert_eq!(pair.sock(b).frames(), []);
    assert_eq!(pair.push("c", "hi"), (404, "not found".to_owned()));
    assert!(pair.calls.is_empty());
}

#[test]
fn a_push_is_binary_by_its_content_type_and_else_must_be_utf8() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    let binary = "Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(pair.control(&format!("POST /a HTTP/1.1\r\nHost: g\r\n{binary}")).status, 200);
    assert_eq!(pair.sock(sock).frames(), [Frame::Binary(b"x".to_vec())]);
    let raw = pair.socket();
    pair.send(raw, b"POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\n\r\n\xff");
    assert_eq!(pair.sock(raw).take_http().status, 400);
    assert_eq!(pair.sock(sock).frames(), []);
}

#[test]
fn two_spellings_of_an_id_are_one_client() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a%21");
    assert_eq!(pair.push("a!", "hi").0, 200);
    assert_eq!(pair.sock(sock).frames().len(), 1);
}

#[test]
fn a_push_to_a_closing_client_is_404() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    pair.send(sock, close(1000, ""));
    assert_eq!(pair.push("a", "late").0, 404);
    assert_eq!(request(&mut pair, "HEAD /a", ""), 404);
    assert_eq!(request(&mut pair, "DELETE /a", ""), 404);
}

#[test]
fn if_match_acts_on_that_very_connection() {
    let mut pair = pair(|_| {});
    let sock = pair.open("a");
    let answer = pair.control("HEAD /a HTTP/1.1\r\nHost: g\r\n\r\n");
    let id = answer.header("x-connection-id").unwrap().to_owned();
    pair.send(sock, text("x"));
    assert_eq!(pair.calls[0].header("x-connection-id"), id);
    assert_eq!(request(&mut pair, "POST /a", &format!("If-Match: \"{id}\"\r\n")), 200);
    assert_eq!(request(&mut pair, "POST /a", "If-Match: \"other\"\r\n"), 412);
    assert_eq!(request(&mut pair, "DELETE /a", "If-Match: \"other\"\r\n"), 412);
    assert_eq!(request(&mut pair, "POST /a", "If-Match: unquoted\r\n"), 400);
    assert_eq!(request(&mut pair, "DELETE /a", &format!("If-Match: \"{id}\"\r\n")), 200);
}

#[test]
fn head_tells_whether_a_client_is_connected() {
    let mut pair = pair(|_| {});
    assert_eq!(request(&mut pair, "HEAD /a", ""), 404);
    let _connecting = pair.handshake("a");
    assert_eq!(request(&mut pair, "HEAD /a", ""), 404);
    pair.answer(200, "ok");
    assert_eq!(request(&mut pair, "HEAD /a", ""), 200);
}

#[test]
fn kicks_check_their_parameters() {
    let mut pair = pair(|_| {});
    let _sock = pair.open("a");
    assert_eq!(request(&mut pair, "DELETE /a?code=1005", ""), 400);
    assert_eq!(request(&mut pair, "DELETE /a?code=4001&reason=%ff", ""), 400);
    assert_eq!(request(&mut pair, "DELETE /a?code=4001&reason=x", ""), 200);
}

#[test]
fn a_token_guards_push_kick_and_head() {
    let mut pair = pair(|config| config.control_token = Some(Secret("t0ken".to_owned())));
    let _sock = pair.open("a");
    assert!(!format!("{:?}", pair.shards[0]).contains("t0ken"));
    for line in ["POST /a", "DELETE /a", "HEAD /a"] {
        assert_eq!(request(&mut pair, line, ""), 401);
        assert_eq!(request(&mut pair, line, "Authorization: Bearer wrong\r\n"), 401);
    }
    let sock = pair.socket();
    pair.send(sock, "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\n");
    pair.send(sock, "spam");
    assert_eq!(pair.sock(sock).take_http().status, 401);
    assert!(!pair.sock(sock).fin, "a refusal whose body is here leaves the connection usable");
    assert_eq!(request(&mut pair, "POST /a", "Authorization: Bearer t0ken\r\n"), 200);
    assert_eq!(request(&mut pair, "GET /-/healthy", ""), 200);
}

#[test]
fn a_control_listener_takes_control_requests_off_the_public_one() {
    let mut pair = pair(|config| config.control_listener = true);
    let _sock = pair.open("a");
    for line in ["POST /a", "DELETE /a", "HEAD /a", "GET /metrics", "GET /", "GET /-/healthy", "GET /-/ready"] {
        assert_eq!(request(&mut pair, line, ""), 404, "{line}");
        let sock = pair.socket_at(0, Surface::Control);
        pair.send(sock, format!("{line} HTTP/1.1\r\nHost: g\r\n\r\n"));
        let status = pair.sock(sock).take_http().status;
        assert_eq!(status, if line == "HEAD /a" { 404 } else { 200 }, "{line}");
    }
    let connect = pair.socket_at(0, Surface::Control);
    pair.send(connect, crate::client::handshake("b", ""));
    assert_eq!(pair.sock(connect).take_http().status, 404);
}

#[test]
fn unknown_methods_and_paths_are_told() {
    let mut pair = pair(|_| {});
    let answer = pair.control("PUT /a HTTP/1.1\r\nHost: g\r\n\r\n");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, POST, DELETE")));
    assert_eq!(request(&mut pair, "GET /-/unknown", ""), 404);
    assert_eq!(request(&mut pair, "POST /a/b", ""), 404);
    assert_eq!(request(&mut pair, "POST /%ff", ""), 400);
}
