use proptest::prelude::*;

use super::*;

const LIMIT: usize = 100;

/// What a reader makes of these bytes, in one piece; `close` ends the connection after them.
fn read(answer: &[u8], close: bool) -> Option<Result<Answer, CallError>> {
    in_pieces(&[answer], close)
}

fn in_pieces(pieces: &[&[u8]], close: bool) -> Option<Result<Answer, CallError>> {
    let mut reader = AnswerReader::new(LIMIT);
    for (index, piece) in pieces.iter().enumerate() {
        match reader.feed(piece) {
            Ok(None) => {}
            Ok(Some(mut answer)) => {
                answer.keep_alive &= index + 1 == pieces.len();
                return Some(Ok(answer));
            }
            Err(error) => return Some(Err(error)),
        }
    }
    close.then(|| reader.end())
}

fn answered(answer: &str, close: bool) -> (Bytes, bool) {
    let answer = read(answer.as_bytes(), close).expect("it is complete").expect("an answer");
    (answer.response.into_body(), answer.keep_alive)
}

fn refused(answer: &str) -> CallError {
    read(answer.as_bytes(), false).expect("it is refused at once").expect_err("no answer")
}

#[test]
fn bodies_end_as_http_says() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (answer, close, body, keep_alive) in [
        ("Content-Length: 2\r\n\r\nok", false, "ok", true),
        ("Content-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", false, "ok", true),
        ("Content-Length: 0\r\n\r\n", false, "", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nTrailer: x\r\n\r\n", false, "abcde", true),
        ("\r\nuntil the end", true, "until the end", false),
        ("Connection: close\r\nContent-Length: 2\r\n\r\nok", false, "ok", false),
        ("Content-Length: 2\r\n\r\nok and more than was asked for", false, "ok", false),
    ] {
        assert_eq!(answered(&format!("{ok}{answer}"), close), (body.into(), keep_alive), "{answer}");
    }
}

#[test]
fn some_answers_have_no_body() {
    for answer in ["304 Not Modified\r\nContent-Length: 5", "204 No Content\r\nServer: x", "204"] {
        assert_eq!(answered(&format!("HTTP/1.1 {answer}\r\n\r\n"), false), (Bytes::new(), true), "{answer}");
    }
}

#[test]
fn http_1_0_closes_unless_it_says_otherwise() {
    let answer = |more| format!("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n{more}\r\nok");
    assert_eq!(answered(&answer(""), false), ("ok".into(), false));
    assert_eq!(answered(&answer("Connection: Keep-Alive\r\n"), false), ("ok".into(), true));
}

#[test]
fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    assert_eq!(answered(&format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), false).0, "ok");
}

#[test]
fn headers_are_kept() {
    let answer =
        b"HTTP/1.1 201 Created\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Odd:  \xff \r\nContent-Length: 0\r\n\r\n";
    let response = read(answer, false).expect("complete").expect("an answer").response;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(response.headers()["x-odd"].as_bytes(), b"\xff");
}

#[test]
fn what_is_not_http_is_malformed() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_HEAD));
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n",
        &many,
        &endless,
    ] {
        assert!(matches!(refused(answer), CallError::Malformed(_)), "{answer:.60}");
    }
}

/// An answer whose head has so many bytes.
fn with_head_of(length: usize) -> Vec<u8> {
    let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ", "\r\n\r\n");
    format!("{start}{}{end}ok", "x".repeat(length - start.len() - end.len())).into_bytes()
}

#[test]
fn a_head_may_be_64_kib_long_and_no_longer() {
    let (fits, long) = (with_head_of(MAX_HEAD), with_head_of(MAX_HEAD + 1));
    let pieces = |answer: &[u8], size| in_pieces(&answer.chunks(size).collect::<Vec<_>>(), false);
    for size in [100_000, 40_000, 1_000] {
        assert!(matches!(pieces(&fits, size), Some(Ok(_))), "in pieces of {size}");
        assert!(matches!(pieces(&long, size), Some(Err(CallError::Malformed(_)))), "in pieces of {size}");
    }
}

#[test]
fn a_head_without_an_end_is_refused_at_64_kib() {
    let head = with_head_of(2 * MAX_HEAD);
    let (most, rest) = head.split_at(MAX_HEAD);
    let mut reader = AnswerReader::new(LIMIT);
    for piece in most.chunks(1_000) {
        assert!(matches!(reader.feed(piece), Ok(None)));
    }
    assert!(matches!(reader.feed(&rest[..1]), Err(CallError::Malformed(_))));
}

#[test]
fn a_body_over_the_limit_is_too_large() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let full = "x".repeat(LIMIT);
    assert_eq!(answered(&format!("{ok}Content-Length: {LIMIT}\r\n\r\n{full}"), false).0, full);
    assert_eq!(answered(&format!("{ok}\r\n{full}"), true).0, full);
    for answer in [
        format!("{ok}Content-Length: {}\r\n\r\n", LIMIT + 1),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n40\r\n{}\r\n40\r\n", "x".repeat(64)),
        format!("{ok}\r\n{full}x"),
    ] {
        assert_eq!(refused(&answer), CallError::TooLarge(StatusCode::OK), "{answer}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_broken() {
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"] {
        let end = read(answer.as_bytes(), true).expect("the connection has ended");
        assert!(matches!(end, Err(CallError::Broken(_))), "{answer}: {end:?}");
    }
}

proptest! {
    /// However an answer is cut into pieces, it is read as the same.
    #[test]
    fn pieces_make_no_difference(
        kind in 0usize..6,
        cuts in prop::collection::vec(0usize..200, 0..8),
        flip in prop::option::of((0usize..200, any::<u8>())),
    ) {
        let mut answer = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nA: b\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.0 500 Oh no\nServer: old\n\nuntil the end",
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        ][kind].as_bytes().to_vec();
        if let Some((at, byte)) = flip {
            let at = at % answer.len();
            answer[at] = byte;
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % answer.len()).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &answer[two[0]..two[1]]).filter(|p| !p.is_empty()).collect();
        let whole = read(&answer, true).expect("the end decides");
        let cut = in_pieces(&pieces, true).expect("the end decides");
        match (whole, cut) {
            (Ok(whole), Ok(cut)) => {
                prop_assert_eq!(whole.response.status(), cut.response.status());
                prop_assert_eq!(whole.response.headers(), cut.response.headers());
                prop_assert_eq!(whole.response.body(), cut.response.body());
                prop_assert_eq!(whole.keep_alive, cut.keep_alive);
            }
            (Err(_), Err(_)) => {}
            (whole, cut) => prop_assert!(false, "whole: {whole:?}, cut: {cut:?}"),
        }
    }

    /// Whatever an API sends: no panic.
    #[test]
    fn any_bytes_are_read(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..6)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = in_pieces(&pieces, true);
    }
}
