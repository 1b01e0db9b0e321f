//! Answers of the API, to the reader that drivers without an HTTP client use.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ws2http_core::{Answer, AnswerReader, CallError};

use crate::play::ways;

/// Small, so that a fuzzer gets there.
const MAX_BODY: usize = 100;

/// Takes the bytes for what comes back on a connection until the API closes it. However they are cut, the
/// outcome is the same. An answer is complete at its last byte, no earlier and no later: what follows does
/// not change it, but the connection is not used again. A length that is given is kept to.
///
/// # Panics
///
/// If any of this does not hold.
pub fn answer(data: &[u8]) {
    let [whole, bytewise, pieces] = ways(data);
    let outcome = read(&whole).0;
    assert_eq!(outcome, read(&pieces).0, "whole, and in pieces");
    assert_eq!(outcome, read(&bytewise).0, "whole, and in single bytes");
    let single: Vec<&[u8]> = data.chunks(1).collect();
    if let (Outcome::Answer { status, headers, body, .. }, Some(end)) = read(&single) {
        check_end(data, end);
        check_length(&data[..end], status, &headers, &body);
    }
}

/// What came of an answer.
#[derive(Debug)]
enum Outcome {
    Answer { status: StatusCode, headers: HeaderMap, body: Bytes, keep_alive: bool },
    TooLarge,
    Malformed,
    Broken,
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        use Outcome::*;
        match (self, other) {
            (
                Answer { status: a, headers: b, body: c, keep_alive: d },
                Answer { status: e, headers: f, body: g, keep_alive: h },
            ) => (a, b, c, d) == (e, f, g, h),
            // A head that comes in slowly is parsed now and then: it may end before its fault is seen.
            (TooLarge, TooLarge) | (Malformed | Broken, Malformed | Broken) => true,
            _ => false,
        }
    }
}

impl From<Result<Answer, CallError>> for Outcome {
    fn from(result: Result<Answer, CallError>) -> Self {
        match result {
            Ok(Answer { response, keep_alive }) => {
                let (parts, body) = response.into_parts();
                assert!(body.len() <= MAX_BODY && !parts.status.is_informational());
                Outcome::Answer { status: parts.status, headers: parts.headers, body, keep_alive }
            }
            Err(CallError::TooLarge(_)) => Outcome::TooLarge,
            Err(CallError::Malformed(_)) => Outcome::Malformed,
            Err(CallError::Broken(_)) => Outcome::Broken,
            Err(error @ (CallError::Unsent | CallError::Connect(_))) => panic!("not a reader's business: {error}"),
        }
    }
}

/// What comes of the pieces, and how many bytes had been fed when the answer was complete; `None` if it
/// was not, or only the end of the connection made it so.
fn read(pieces: &[&[u8]]) -> (Outcome, Option<usize>) {
    let mut reader = AnswerReader::new(MAX_BODY);
    let mut fed = 0;
    for (index, piece) in pieces.iter().enumerate() {
        fed += piece.len();
        match reader.feed(piece) {
            Ok(None) => {}
            Ok(Some(mut answer)) => {
                // Whoever looks at the connection again sees what is there.
                answer.keep_alive &= pieces[index + 1..].iter().all(|piece| piece.is_empty());
                return (Ok(answer).into(), Some(fed));
            }
            Err(error) => return (Err(error).into(), None),
        }
    }
    (reader.end().into(), None)
}

/// The answer that is complete at `end` is the same with the end of the connection right there, and
/// with other bytes behind it.
fn check_end(data: &[u8], end: usize) {
    let exact = read(&[&data[..end]]);
    assert_eq!(exact.1, Some(end), "complete at {end}");
    let (Outcome::Answer { status, headers, body, .. }, _) = exact else { panic!("no answer: {exact:?}") };
    let more = [&data[..end], b"HTTP/1.1 500 Smuggled\r\n\r\n"].concat();
    assert_eq!(read(&[&more]).0, Outcome::Answer { status, headers, body, keep_alive: false });
    assert_eq!(read(&[&data[..end - 1]]).1, None, "complete before its last byte");
}

/// If the head says how long the body is, so long it is, and ends the answer.
fn check_length(answer: &[u8], status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if bodiless {
        assert!(body.is_empty() && answer.ends_with(b"\n"));
    } else if let Some(length) = headers.get("content-length") {
        assert!(!headers.contains_key("transfer-encoding"), "two ways to find the end");
        let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
        let length = std::str::from_utf8(first).ok().and_then(|text| text.trim().parse().ok());
        assert_eq!(Some(body.len()), length);
        assert!(answer.ends_with(body));
    } else {
        assert!(headers.contains_key("transfer-encoding") && answer.ends_with(b"\r\n"));
    }
}
