//! What a gateway writes to a client, read strictly.

use crate::client::{Frame, Sock};

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::new();
        values.extend(self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value));
        values
    }

    fn closes(&self) -> bool {
        self.values("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Takes all answers that were written to a socket, and the frames that came after a 101.
///
/// # Panics
///
/// If there is anything but well-formed answers and frames, or anything after an answer that closes.
pub(crate) fn read(sock: &mut Sock) -> (Vec<Answer>, Vec<Frame>) {
    let bytes = std::mem::take(&mut sock.received);
    let mut rest = &bytes[..];
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let answer = read_answer(&mut rest);
        let (status, closes) = (answer.status, answer.closes());
        answers.push(answer);
        if status == 101 {
            sock.received = rest.to_vec();
            return (answers, sock.frames());
        }
        if closes {
            assert!(rest.is_empty(), "after an answer that closes: {}", rest.escape_ascii());
            assert!(sock.closed || sock.fin, "the connection should have been closed");
        }
    }
    (answers, Vec::new())
}

/// Takes the answer at the beginning of `rest`.
fn read_answer(rest: &mut &[u8]) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = parsed.parse(rest) else {
        panic!("not an answer: {}", rest.escape_ascii());
    };
    // The parser is milder.
    let (head, after) = rest.split_at(end);
    let lines = head.strip_suffix(b"\r\n\r\n").expect("a head ends in an empty line");
    let lines = std::str::from_utf8(lines).expect("ASCII or what the API said").split("\r\n");
    assert!(head.starts_with(b"HTTP/1.1 "));
    lines.for_each(|line| assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}"));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = parsed.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
    let mut answer = Answer { status: parsed.code.unwrap_or_default(), headers, body: Vec::new() };
    let lengths = answer.values("content-length");
    assert_eq!(lengths.len(), usize::from(answer.status >= 200), "{answer:?}");
    let length = lengths.first().map_or(0, |length| length.parse().expect("a length in digits"));
    // A body cannot be mistaken for the next answer: no text of the gateway begins like one.
    let only_head = after.is_empty() || after.starts_with(b"HTTP/1.1 ");
    let length = if only_head { 0 } else { length };
    assert!(length <= after.len(), "the body is not all there: {}", after.escape_ascii());
    let (body, after) = after.split_at(length);
    (answer.body, *rest) = (body.to_vec(), after);
    answer
}
