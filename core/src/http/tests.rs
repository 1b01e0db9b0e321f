//! Heads, bodies and answers: each refusal by name, and the same in one piece or many.

use super::*;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Version};

fn parse(text: &str) -> Result<Option<(usize, Head)>, Refusal> {
    parse_head(text.as_bytes(), &mut HeadScan::default())
}

fn head(text: &str) -> Head {
    parse(text).unwrap().unwrap().1
}

/// The status that a head is refused with, in parsing or in framing.
fn refused(text: &str) -> u16 {
    match parse(text) {
        Err(refusal) => refusal.status.as_u16(),
        Ok(None) => panic!("incomplete: {text:?}"),
        Ok(Some((_, head))) => head.framing().err().map_or(0, |refusal| refusal.status.as_u16()),
    }
}

fn post(headers: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: g\r\n{headers}\r\n")
}

#[test]
fn a_head_is_split_off_and_taken_apart() {
    let text = "\r\nGET /a%20b?x=1&y HTTP/1.1\r\nHost: g:80\r\nA: 1\r\na:2\r\n\r\nrest";
    let (used, head) = parse(text).unwrap().unwrap();
    assert_eq!(&text[used..], "rest");
    assert_eq!((head.method.clone(), head.version), (Method::GET, Version::HTTP_11));
    assert_eq!((head.path.as_str(), head.query.as_deref()), ("/a%20b", Some("x=1&y")));
    assert_eq!(head.headers.get_all("a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert!(parse("GET /a HTTP/1.1\r\nHost: g\r\n\r").unwrap().is_none());
}

#[test]
fn absolute_targets_mean_their_path_and_their_host() {
    for (target, path, query) in [
        ("http://t:1/x?y", "/x", Some("y")),
        ("HTTPS://t:1/x", "/x", None),
        ("http://t:1", "/", None),
        ("http://t:1?", "/", Some("")),
        ("http://t:1?a=http://b/", "/", Some("a=http://b/")),
    ] {
        let head = head(&format!("GET {target} HTTP/1.1\r\nHost: g\r\n\r\n"));
        assert_eq!((head.path.as_str(), head.query.as_deref()), (path, query), "{target}");
        assert_eq!(head.headers["host"], "t:1", "{target}");
    }
}

#[test]
fn hosts_are_hosts() {
    let with = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["g", "g:80", "g:", "[::1]:80", "127.0.0.1", "a_b.example"] {
        assert!(parse(&with(host)).is_ok(), "{host:?}");
    }
    for host in ["", "a b", "a/b", "u@g", "g, g", "g:x", "g:65536", "::1", "[::1", "h\u{e4}", "a\\b", "g?x", "g#x"] {
        assert_eq!(refused(&with(host)), 400, "{host:?}");
    }
    assert!(parse("GET / HTTP/1.0\r\n\r\n").is_ok());
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    for (text, status) in [
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Content-Length: 1\r\nContent-Length: 1\r\n"), 400),
        (post("Content-Length: 1, 1\r\n"), 400),
        (post("Content-Length: +1\r\n"), 400),
        (post("Content-Length: 0x1\r\n"), 400),
        (post("Content-Length:\r\n"), 400),
        (post("Content-Length: -0\r\n"), 400),
        (post("Content-Length: 1 1\r\n"), 400),
        (post("Content-Length: 1_0\r\n"), 400),
        (post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        (post("Content-Length: 18446744073709551616\r\n"), 400),
        (post("Content-Length: 99999999999999999999\r\n"), 400),
        (post("Transfer-Encoding: identity\r\n"), 501),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (post("Transfer-Encoding: chunked, gzip\r\n"), 501),
        (post("Transfer-Encoding: chunked, identity\r\n"), 501),
        (post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 501),
        (post("Transfer-Encoding: gzip;q=1\r\n"), 501),
        (post("Transfer-Encoding: xchunked\r\n"), 501),
        (post("Transfer-Encoding: chunked, chunked\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        (post("Transfer-Encoding: chunked;a=b\r\n"), 400),
        (post("Transfer-Encoding: ,chunked\r\n"), 400),
        (post("Transfer-Encoding: \"chunked\"\r\n"), 400),
        (post("Transfer-Encoding: chunk\u{e9}d\r\n"), 400),
        (post("Transfer-Encoding:\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400),
        (post("transfer-encoding:chunked\r\ncontent-length:5\r\n"), 400),
        (post("Transfer-Encoding: \x0bchunked\r\n"), 400),
        (post("Transfer-Encoding : chunked\r\n"), 400),
        (post("Transfer-Encoding\t: chunked\r\n"), 400),
        (post(" Transfer-Encoding: chunked\r\n"), 400),
        (post("X: a\r\n\tTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\nTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\rTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\0b\r\n"), 400),
        (post("X: a\x7f\r\n"), 400),
        (post("X: a\r\r\n"), 400),
        (post("X\u{e9}: a\r\n"), 400),
        (post("\tX: a\r\n"), 400),
        (post(": x\r\n"), 400),
        (post("no colon\r\n"), 400),
        (post("Host: other\r\n"), 400),
        ("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("POST /a HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("POST /a HTTP/1.0\r\nHost: g\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n".to_owned(), 505),
        ("POST /a HTTP/0.9\r\n".to_owned(), 505),
        ("POST /a HTTP/1.10\r\n".to_owned(), 400),
        ("POST /a HTTP/1.1 \r\n".to_owned(), 400),
        ("POST\t/a HTTP/1.1\r\n".to_owned(), 400),
        (" /a HTTP/1.1\r\n".to_owned(), 400),
        ("\n".to_owned(), 400),
        ("\rG".to_owned(), 400),
        ("\r\n".repeat(100), 400),
        ("POST g:80 HTTP/1.1\r\n".to_owned(), 400),
        ("POST /a\"b HTTP/1.1\r\n".to_owned(), 400),
        ("POST http://u@g/a HTTP/1.1\r\n".to_owned(), 400),
        ("POST http:///a HTTP/1.1\r\n".to_owned(), 400),
        ("POST http://g:x/a HTTP/1.1\r\n".to_owned(), 400),
        ("POST /a HTTP/2.0\r\nHost: g\r\n\r\n".to_owned(), 505),
        ("POST /a HTTP/1.2\r\nHost: g\r\n\r\n".to_owned(), 505),
        ("POST /a http/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST  /a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST /a  HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST /a b HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST /a\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST * HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("CONNECT g:80 HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST /a#b HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST /\u{e9} HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("POST ftp://g/a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("P(ST /a HTTP/1.1\r\nHost: g\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02".to_owned(), 400),
    ] {
        assert_eq!(refused(&text), status, "{text:?}");
    }
}

/// How many bytes of `text` it takes until it is refused, and the status.
fn refused_at(text: &str) -> (usize, u16) {
    let mut scan = HeadScan::default();
    for end in 0..=text.len() {
        if let Err(refusal) = parse_head(&text.as_bytes()[..end], &mut scan) {
            return (end, refusal.status.as_u16());
        }
    }
    panic!("not refused");
}

#[test]
fn a_head_is_refused_with_the_first_byte_that_is_too_much() {
    let endless = "x".repeat(20_000);
    assert_eq!(refused_at(&format!("GET /{endless}")), (4 + 8192 + 1, 414));
    assert_eq!(refused_at(&endless), (32 + 1, 400));
    assert_eq!(refused_at(&format!("\r\n\r\n{endless}")), (4 + 32 + 1, 400));
    assert_eq!(refused_at(&format!("GET / HTTP/1.{endless}")), (14 + 1, 400));
    let line = "GET / HTTP/1.1\r\n";
    assert_eq!(refused_at(&format!("{line}A: {endless}")), (line.len() + 16 * 1024 + 1, 431));
    assert_eq!(refused_at(&format!("{line}{}", "A:\r\n".repeat(101))), (line.len() + 4 * 100 + 1, 431));
    assert_eq!(refused_at("\x16\x03\x01"), (1, 400));
    assert_eq!(refused_at("PRI * HTTP/2.0\r\n\r\nSM"), (16, 505));
}

#[test]
fn a_head_may_be_as_large_as_the_limits() {
    let target = format!("/{}", "x".repeat(8191));
    let host = "Host: g\r\n";
    let filler = format!("A: {}\r\n", "y".repeat(16 * 1024 - host.len() - 5));
    assert_eq!(head(&format!("GET {target} HTTP/1.1\r\n{host}{filler}\r\n")).path, target);
    let many = format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: b\r\n".repeat(99));
    assert_eq!(head(&many).headers.len(), 100);
}

#[test]
fn what_has_been_looked_at_is_not_looked_at_again() {
    let text = b"GET /abc HTTP/1.1\r\nHost: g\r\nAbc: def\r\n";
    let mut scan = HeadScan::default();
    for end in 1..text.len() {
        assert_eq!(parse_head(&text[..end], &mut scan), Ok(None));
        // LFs would be refused, but for the byte before the next, which may be half of a CRLF.
        let mut spoilt = text[..=end].to_vec();
        spoilt[..end - 1].fill(b'\n');
        let line_ends = text[end] == b'\n';
        assert!(line_ends || parse_head(&spoilt, &mut scan.clone()) == Ok(None), "{end}");
    }
}

#[test]
fn expectations_and_persistence_follow_the_version() {
    let expects = |text: &str| head(text).expects_continue();
    assert_eq!(expects(&post("Expect: 100-Continue\r\n")), Ok(true));
    assert_eq!(expects(&post("")), Ok(false));
    for other in ["Expect: tea\r\n", "Expect: 100-continue\r\nExpect: tea\r\n", "Expect: 100-continue, tea\r\n"] {
        assert_eq!(expects(&post(other)).unwrap_err().status, 417, "{other}");
    }
    assert_eq!(expects("POST / HTTP/1.0\r\nExpect: tea\r\n\r\n"), Ok(false));
    assert!(head(&post("")).keep_alive());
    assert!(!head(&post("Connection: x, Close\r\n")).keep_alive());
    assert!(!head("GET / HTTP/1.0\r\n\r\n").keep_alive());
    assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive());
}

fn read_pieces<'a>(length: BodyLength, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize), u16> {
    let mut body = BodyReader::new(length, 20).map_err(|refusal| refusal.status.as_u16())?;
    let mut used = 0;
    for piece in pieces {
        let (count, complete) = body.feed(piece).map_err(|refusal| refusal.status.as_u16())?;
        used += count;
        assert!(complete || count == piece.len());
        if complete {
            break;
        }
    }
    if body.is_complete() { Ok((body.into_bytes().to_vec(), used)) } else { Err(0) }
}

#[test]
fn bodies_end_where_they_say() {
    let read = |length, text: &'static str| read_pieces(length, [text.as_bytes()]);
    assert_eq!(read(BodyLength::Length(3), "abcdef"), Ok((b"abc".to_vec(), 3)));
    assert_eq!(read(BodyLength::None, "abc"), Ok((vec![], 0)));
    assert_eq!(read(BodyLength::Length(21), ""), Err(413));
    let chunked = "3\r\nabc\r\n02;x=\"y\"\r\nde\r\n0\r\nT: x\r\n\r\n";
    assert_eq!(read(BodyLength::Chunked, chunked), Ok((b"abcde".to_vec(), chunked.len())));
    for (text, status) in [
        ("3\r\nabcd\r\n", 400),
        ("3\nabc\r\n", 400),
        ("-1\r\n", 400),
        ("0x3\r\nabc\r\n", 400),
        (" 3\r\nabc\r\n", 400),
        ("3 \r\nabc\r\n", 400),
        ("\r\n", 400),
        ("3;\x01\r\nabc\r\n", 400),
        ("fffffffffffffffff\r\n", 400),
        ("ffffffffffffffff\r\n", 413),
        ("15\r\n", 413),
        ("0\r\nno colon\r\n\r\n", 400),
        ("0\r\n x: y\r\n\r\n", 400),
        ("0\r\nX: y\rZ: 1\r\n\r\n", 400),
        ("0\r\nX: y\nZ: 1\r\n\r\n", 400),
        ("3;a\nabc\r\n", 400),
        ("3\r\nabc\n", 400),
        ("3\r\nabc3\r\n", 400),
        ("3 ;x\r\n", 400),
        ("00000000000000003\r\n", 400),
        ("a\r\n0123456789\r\nb\r", 413),
        ("3\r\nab", 0),
    ] {
        assert_eq!(read(BodyLength::Chunked, text), Err(status), "{text:?}");
    }
}

#[test]
fn the_framing_of_chunks_is_bounded() {
    let read = |text: &str| read_pieces(BodyLength::Chunked, [text.as_bytes()]);
    assert_eq!(read(&format!("1;{}", "x".repeat(4097))), Err(400));
    assert_eq!(read(&format!("1;{}\r\na\r\n1;{}", "x".repeat(4000), "x".repeat(97))), Err(400));
    assert_eq!(read(&format!("0\r\n{}", "T: x\r\n".repeat(101))), Err(431));
    assert_eq!(read(&format!("0\r\nT: {}", "x".repeat(16 * 1024))), Err(431));
}

#[test]
fn a_body_takes_no_memory_for_what_has_not_come() {
    let mut body = BodyReader::new(BodyLength::Length(1 << 30), 1 << 30).unwrap();
    assert_eq!(body.feed(b"abc"), Ok((3, false)));
    assert!(body.capacity() < 64);
    let mut body = BodyReader::new(BodyLength::Chunked, 1 << 30).unwrap();
    assert_eq!(body.feed(b"3fffffff\r\nabc"), Ok((13, false)));
    assert!(body.capacity() < 64);
}

fn response(status: u16, headers: &[(&str, &[u8])], body: &[u8], keep_alive: bool, head_only: bool) -> String {
    let mut out = b"before ".to_vec();
    let connection = (!keep_alive).then_some("close");
    write_response(&mut out, StatusCode::from_u16(status).unwrap(), headers, body, connection, head_only);
    String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
}

#[test]
fn answers_are_measured_and_typed() {
    assert_eq!(
        response(404, &[("A", b"b")], b"no", false, false),
        "HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    );
    assert_eq!(
        response(200, &[("content-type", b"x/y")], b"ok", true, true),
        "HTTP/1.1 200 OK\r\ncontent-type: x/y\r\nContent-Length: 2\r\n\r\n"
    );
    assert_eq!(response(499, &[], b"", true, false), "HTTP/1.1 499 \r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response(204, &[], b"x", true, false), "HTTP/1.1 204 No Content\r\n\r\n");
}

#[test]
fn an_answer_cannot_be_split_by_a_value() {
    let text = response(200, &[("Set-Cookie", b"a\r\nInjected: b\r\n\r\n\0\tc")], b"", true, false);
    assert_eq!(text, "HTTP/1.1 200 OK\r\nSet-Cookie: a  Injected: b     \tc\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn only_end_to_end_headers_are_forwarded() {
    let mut client = HeaderMap::new();
    for (name, value) in [
        ("cookie", "c"),
        ("connection", "upgrade, X-Hop, X-Forwarded-For"),
        ("connection", "x-hop-2"),
        ("x-hop", "1"),
        ("x-hop-2", "1"),
        ("upgrade", "websocket"),
        ("host", "g"),
        ("x_connection_id", "forged"),
        ("x-close-code", "forged"),
        ("x_secret", "forged"),
        ("x_forwarded_for", "forged"),
        ("proxy", "http://forged"),
        ("accept-encoding", "gzip"),
        ("sec-websocket-key", "k"),
        ("sec-websocket-protocol", "v1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
    ] {
        client.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let remove = [HeaderName::from_static("x-secret")];
    let headers = forwarded_headers(&client, "::ffff:192.0.2.1".parse().unwrap(), &remove);
    let mut seen: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    seen.sort();
    assert_eq!(seen, ["cookie=c", "sec-websocket-protocol=v1", "x-forwarded-for=10.0.0.1, 10.0.0.2, 192.0.2.1"]);
}

#[test]
fn an_api_header_may_replace_the_forwarded_address() {
    let name = HeaderName::from_static("x-forwarded-for");
    let headers = forwarded_headers(&HeaderMap::new(), "::1".parse().unwrap(), std::slice::from_ref(&name));
    assert!(headers.is_empty());
    let headers = forwarded_headers(&HeaderMap::new(), "::1".parse().unwrap(), &[]);
    assert_eq!(headers[name], "::1");
}
