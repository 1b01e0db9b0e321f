//! What the API server does with a request: an answer, or one of many kinds of misbehaviour.

use std::pin::Pin;
use std::time::Duration;

use super::law::Outcome;

type Before = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`.
    Length,
    /// In chunks of so many bytes.
    Chunked(usize),
    /// By the end of the connection.
    UntilClose,
}

/// What happens to the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It serves the next request.
    KeepAlive,
    /// It is closed, although the answer did not say so.
    Close,
    /// FIN is sent, and the other side's end waited for.
    HalfClose,
    /// It is reset.
    Reset,
    /// Nothing more is sent; it stays open until the other side ends it.
    Hang,
}

pub(super) enum Content {
    Http { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, framing: Framing },
    Raw(Vec<u8>),
    Endless,
    Nothing,
}

/// What to do with one request.
pub struct Answer {
    pub(super) before: Option<Before>,
    pub(super) content: Content,
    pub(super) then: Then,
    pub(super) drip: Option<Duration>,
}

impl Answer {
    fn with(content: Content, then: Then) -> Answer {
        Answer { before: None, content, then, drip: None }
    }

    /// An answer with this status and text.
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Answer {
        let headers = vec![("Content-Type".into(), "text/plain; charset=utf-8".into())];
        let (body, framing) = (body.as_ref().to_vec(), Framing::Length);
        Answer::with(Content::Http { status, headers, body, framing }, Then::KeepAlive)
    }

    /// 200 and `ok`.
    pub fn ok() -> Answer {
        Answer::new(200, "ok")
    }

    /// 204 without a body.
    pub fn empty() -> Answer {
        Answer::with(
            Content::Http { status: 204, headers: Vec::new(), body: Vec::new(), framing: Framing::Length },
            Then::KeepAlive,
        )
    }

    /// 200 and a binary message.
    pub fn binary(body: impl AsRef<[u8]>) -> Answer {
        Answer::new(200, body).header("Content-Type", "application/octet-stream")
    }

    /// Exactly these bytes, whatever they mean.
    pub fn raw(bytes: impl AsRef<[u8]>, then: Then) -> Answer {
        Answer::with(Content::Raw(bytes.as_ref().to_vec()), then)
    }

    /// No byte of an answer, ever.
    pub fn hang() -> Answer {
        Answer::with(Content::Nothing, Then::Hang)
    }

    /// No answer: the connection is closed.
    pub fn close() -> Answer {
        Answer::with(Content::Nothing, Then::Close)
    }

    /// No answer: the connection is reset.
    pub fn reset() -> Answer {
        Answer::with(Content::Nothing, Then::Reset)
    }

    /// A 200 whose chunked body never ends.
    pub fn endless() -> Answer {
        Answer::with(Content::Endless, Then::Close)
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        if let Content::Http { headers, .. } = &mut self.content {
            let repeats = name.eq_ignore_ascii_case("set-cookie");
            headers.retain(|(each, _)| repeats || !each.eq_ignore_ascii_case(name));
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Delimits the body otherwise.
    pub fn framed(mut self, by: Framing) -> Answer {
        if let Content::Http { framing, .. } = &mut self.content {
            *framing = by;
        }
        if by == Framing::UntilClose {
            self.then = Then::Close;
        }
        self
    }

    /// Does this with the connection afterwards.
    pub fn then(self, then: Then) -> Answer {
        Answer { then, ..self }
    }

    /// Announces the end of the connection, and keeps to it.
    pub fn closing(self) -> Answer {
        self.header("Connection", "close").then(Then::Close)
    }

    /// Answers only when `before` has ended.
    pub fn after(self, before: impl Future<Output = ()> + Send + Sync + 'static) -> Answer {
        Answer { before: Some(Box::pin(before)), ..self }
    }

    /// Answers after so long.
    pub fn delayed(self, by: Duration) -> Answer {
        self.after(tokio::time::sleep(by))
    }

    /// Writes byte by byte with these pauses.
    pub fn dripping(self, pause: Duration) -> Answer {
        Answer { drip: Some(pause), ..self }
    }

    /// What the law makes of this answer once it is written.
    pub(super) fn outcome(&self) -> Outcome {
        let whole = matches!(self.then, Then::KeepAlive | Then::Close | Then::HalfClose);
        match &self.content {
            Content::Http { status, body, .. } if whole => {
                let ok = (200..300).contains(status) && body.trim_ascii() == b"ok";
                Outcome::Answered { status: *status, ok }
            }
            Content::Http { .. } | Content::Raw(_) => Outcome::Unclear,
            Content::Endless | Content::Nothing => Outcome::Broken,
        }
    }

    /// The bytes of the answer; of an endless one, its beginning.
    pub(super) fn encode(&self) -> Vec<u8> {
        match &self.content {
            Content::Http { status, headers, body, framing } => encode(*status, headers, body, *framing),
            Content::Raw(bytes) => bytes.clone(),
            Content::Endless => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            Content::Nothing => Vec::new(),
        }
    }
}

fn encode(status: u16, headers: &[(String, String)], body: &[u8], framing: Framing) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Answer\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    match framing {
        // RFC 9110, section 8.6: a 204 must not carry Content-Length.
        Framing::Length if status != 204 => {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        Framing::Chunked(_) => text.push_str("Transfer-Encoding: chunked\r\n"),
        Framing::Length | Framing::UntilClose => {}
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    match framing {
        Framing::Chunked(size) => {
            for chunk in body.chunks(size) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        Framing::Length | Framing::UntilClose => bytes.extend_from_slice(body),
    }
    bytes
}
