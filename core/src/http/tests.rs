//! Heads, bodies and answers: each refusal by name, and the same in one piece or many.

use super::*;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Version};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Option<(usize, Head)>, Refusal> {
    parse_head(text.as_bytes(), &mut 0)
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
fn absolute_targets_mean_their_path() {
    assert_eq!(head("GET http://g/x?y HTTP/1.1\r\nHost: g\r\n\r\n").path, "/x");
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
        (post("Content-Length: 99999999999999999999\r\n"), 400),
        (post("Transfer-Encoding: identity\r\n"), 501),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (post("Transfer-Encoding: chunked, chunked\r\n"), 501),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 501),
        (post("Transfer-Encoding: xchunked\r\n"), 501),
        (post("Transfer-Encoding: \x0bchunked\r\n"), 400),
        (post("Transfer-Encoding : chunked\r\n"), 400),
        (post("Transfer-Encoding\t: chunked\r\n"), 400),
        (post(" Transfer-Encoding: chunked\r\n"), 400),
        (post("X: a\r\n\tTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\nTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\rTransfer-Encoding: chunked\r\n"), 400),
        (post("X: a\0b\r\n"), 400),
        (post(": x\r\n"), 400),
        (post("no colon\r\n"), 400),
        (post("Host: other\r\n"), 400),
        ("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("POST /a HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("POST /a HTTP/1.1\r\nHost: a/b@c\r\n\r\n".to_owned(), 400),
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

#[test]
fn a_head_without_end_is_refused_as_soon_as_it_is_too_much() {
    let long = "x".repeat(9 * 1024);
    assert_eq!(refused(&format!("GET /{long}")), 414);
    let header = format!("GET / HTTP/1.1\r\nA: {long}\r\nB: {long}");
    assert_eq!(refused(&header), 431);
    let fits = format!("GET /{} HTTP/1.1\r\nHost: g\r\nA: {}\r\n\r\n", "x".repeat(8191), "y".repeat(16_000));
    assert!(parse(&fits).unwrap().is_some());
}

#[test]
fn expectations_and_persistence_follow_the_version() {
    let expects = |text: &str| head(text).expects_continue();
    assert_eq!(expects(&post("Expect: 100-Continue\r\n")), Ok(true));
    assert_eq!(expects(&post("")), Ok(false));
    assert_eq!(expects(&post("Expect: tea\r\n")).unwrap_err().status, 417);
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
        ("3\r\nab", 0),
    ] {
        assert_eq!(read(BodyLength::Chunked, text), Err(status), "{text:?}");
    }
}

#[test]
fn answers_are_measured() {
    let mut out = Vec::new();
    write_response(&mut out, StatusCode::NOT_FOUND, &[("A", b"b")], b"no", false, true);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nA: b\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn only_end_to_end_headers_are_forwarded() {
    let mut client = HeaderMap::new();
    for (name, value) in [
        ("cookie", "c"),
        ("connection", "upgrade, X-Hop"),
        ("x-hop", "1"),
        ("upgrade", "websocket"),
        ("host", "g"),
        ("x_connection_id", "forged"),
        ("x-close-code", "forged"),
        ("x_secret", "forged"),
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

fn outcome(bytes: &[u8], step: usize) -> Result<Option<(usize, String)>, Refusal> {
    let mut scanned = 0;
    for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
        if let Some((used, head)) = parse_head(&bytes[..end], &mut scanned)? {
            return Ok(Some((used, format!("{head:?}"))));
        }
    }
    Ok(None)
}

proptest! {
    #[test]
    fn heads_in_pieces_are_the_same_heads(
        lines in prop::collection::vec("[ -~]{0,12}|Content-Length: [0-9]|[A-Z]: [a-z]{0,5}", 0..6),
        ends in prop::collection::vec(prop_oneof![6 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")], 8),
        step in 1usize..20,
    ) {
        let mut text = "GET /x HTTP/1.1\r\nHost: g\r\n".to_owned();
        for (line, end) in lines.iter().zip(&ends) {
            text.push_str(line);
            text.push_str(end);
        }
        text.push_str("\r\n");
        let whole = outcome(text.as_bytes(), text.len());
        let pieces = outcome(text.as_bytes(), step);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => prop_assert_eq!(whole, pieces),
            (whole, pieces) => prop_assert_eq!(whole.is_err(), pieces.is_err()),
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_head(&bytes, &mut 0);
        let _ = read_pieces(BodyLength::Chunked, [&bytes[..]]);
    }

    #[test]
    fn chunked_bodies_in_pieces_are_the_same_bodies(text in "[0-3a\r\n;]{0,30}", step in 1usize..6) {
        let whole = read_pieces(BodyLength::Chunked, [text.as_bytes()]);
        prop_assert_eq!(whole, read_pieces(BodyLength::Chunked, text.as_bytes().chunks(step)));
    }
}
