//! Answers of the API, read as they come in (RFC 9112, sections 4 to 7).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::framing::{list, parse_length};
use super::{BodyLength, BodyReader, Refusal};
use crate::CallError;

/// The most that an answer's head may take up, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// What the API said. Interim answers and trailers are left out.
    pub response: Response<Bytes>,
    /// The connection may be used for another request.
    pub keep_alive: bool,
}

/// Reads one answer of the API. A driver that brings its own HTTP client has no need of it.
///
/// What it takes up in memory grows with what has come in, and no further than the limits.
#[derive(Debug)]
pub struct AnswerReader {
    max_body: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A head of which so much has come in. It is parsed when it may be complete, or has doubled:
    /// what is not HTTP is seen early, and single bytes do not make it a quadratic effort.
    Head { bytes: Vec<u8>, parse_at: usize },
    /// The end of the body is marked.
    Body { head: Box<AnswerHead>, body: BodyReader },
    /// The body ends with the connection.
    UntilEnd { head: Box<AnswerHead>, body: Vec<u8> },
}

#[derive(Debug)]
struct AnswerHead {
    parts: Parts,
    keep_alive: bool,
}

impl AnswerReader {
    /// A reader of one answer whose body has at most `max_body` bytes.
    pub fn new(max_body: usize) -> Self {
        AnswerReader { max_body, state: State::Head { bytes: Vec::new(), parse_at: 0 } }
    }

    /// Takes what has come in. `None` if the answer is not complete; if it is, the reader is
    /// of no more use.
    ///
    /// # Errors
    ///
    /// [`CallError::TooLarge`] as soon as the body is known to be over the maximum,
    /// [`CallError::Malformed`] for what is not HTTP. Then the connection is of no more use.
    pub fn feed(&mut self, input: &[u8]) -> Result<Option<Answer>, CallError> {
        match &mut self.state {
            State::Head { bytes, .. } if bytes.is_empty() => self.read_head(input),
            State::Head { bytes, parse_at } => {
                let before = bytes.len();
                bytes.extend_from_slice(input);
                if bytes.len() < *parse_at && !has_empty_line(&bytes[before.saturating_sub(3)..]) {
                    return Ok(None);
                }
                let bytes = std::mem::take(bytes);
                self.read_head(&bytes)
            }
            State::Body { .. } | State::UntilEnd { .. } => self.read_body(input),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    ///
    /// [`CallError::Broken`] if the answer was not complete.
    pub fn end(self) -> Result<Answer, CallError> {
        match self.state {
            State::UntilEnd { head, body } => Ok(head.with(body.into_boxed_slice().into(), false)),
            State::Head { bytes, .. } if bytes.is_empty() => {
                Err(CallError::Broken("closed before the answer".to_owned()))
            }
            State::Head { .. } | State::Body { .. } => {
                Err(CallError::Broken("closed in the middle of the answer".to_owned()))
            }
        }
    }

    /// `bytes` is all that has come in since the end of the last interim answer.
    fn read_head(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, CallError> {
        loop {
            let parsed = parse_head(bytes)?;
            if parsed.as_ref().map_or(bytes.len(), |(length, _)| *length) > MAX_HEAD {
                return Err(malformed("over 64 KiB of headers"));
            }
            let Some((length, head)) = parsed else {
                let parse_at = (2 * bytes.len()).min(MAX_HEAD + 1);
                self.state = State::Head { bytes: bytes.to_vec(), parse_at };
                return Ok(None);
            };
            bytes = &bytes[length..];
            if head.parts.status == StatusCode::SWITCHING_PROTOCOLS {
                // Nobody asked for it, and what follows is not HTTP.
                return Err(malformed("101 Switching Protocols"));
            }
            if !head.parts.status.is_informational() {
                return self.start_body(head, bytes);
            }
        }
    }

    fn start_body(&mut self, head: AnswerHead, bytes: &[u8]) -> Result<Option<Answer>, CallError> {
        let Some(length) = body_length(&head.parts)? else {
            self.state = State::UntilEnd { body: Vec::new(), head: Box::new(head) };
            return self.read_body(bytes);
        };
        let status = head.parts.status;
        let mut body = BodyReader::new(length, self.max_body).map_err(|refusal| in_body(refusal, status))?;
        let (used, complete) = body.feed(bytes).map_err(|refusal| in_body(refusal, status))?;
        if complete {
            return Ok(Some(head.with(body.into_bytes(), used == bytes.len())));
        }
        self.state = State::Body { head: Box::new(head), body };
        Ok(None)
    }

    fn read_body(&mut self, bytes: &[u8]) -> Result<Option<Answer>, CallError> {
        match &mut self.state {
            State::Head { .. } => Ok(None),
            State::UntilEnd { head, body } if body.len() + bytes.len() > self.max_body => {
                Err(CallError::TooLarge(head.parts.status))
            }
            State::UntilEnd { body, .. } => {
                body.extend_from_slice(bytes);
                Ok(None)
            }
            State::Body { head, body } => {
                let status = head.parts.status;
                let (used, complete) = body.feed(bytes).map_err(|refusal| in_body(refusal, status))?;
                // Whoever says more than was asked for is not asked again.
                Ok(if complete { self.complete(used == bytes.len()) } else { None })
            }
        }
    }

    fn complete(&mut self, in_step: bool) -> Option<Answer> {
        let state = std::mem::replace(&mut self.state, State::Head { bytes: Vec::new(), parse_at: 0 });
        let State::Body { head, body } = state else { return None };
        Some(head.with(body.into_bytes(), in_step))
    }
}

impl AnswerHead {
    fn with(self, body: Bytes, reusable: bool) -> Answer {
        Answer { keep_alive: self.keep_alive && reusable, response: Response::from_parts(self.parts, body) }
    }
}

fn malformed(what: &str) -> CallError {
    CallError::Malformed(what.to_owned())
}

fn in_body(refusal: Refusal, status: StatusCode) -> CallError {
    match refusal.status {
        StatusCode::PAYLOAD_TOO_LARGE => CallError::TooLarge(status),
        _ => CallError::Malformed(refusal.message.into_owned()),
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// The head at the beginning of `bytes` and its length, once it is there.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, AnswerHead)>, CallError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut response = Response::new(());
    *response.status_mut() = status.ok_or_else(|| malformed("the status is out of range"))?;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = headers(bytes, length, parsed.headers)?;
    let (parts, ()) = response.into_parts();
    let says = |option: &str| list(&parts.headers, CONNECTION).any(|said| said.eq_ignore_ascii_case(option.as_bytes()));
    let keep_alive = !says("close") && (parts.version == Version::HTTP_11 || says("keep-alive"));
    Ok(Some((length, AnswerHead { parts, keep_alive })))
}

/// The headers as pieces of one copy of the head: one allocation, not one for each.
fn headers(bytes: &[u8], length: usize, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, CallError> {
    let head = Bytes::copy_from_slice(&bytes[..length]);
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed("a header's name"))?;
        // The parser's values are pieces of `bytes`.
        let at = field.value.as_ptr() as usize - bytes.as_ptr() as usize;
        let value = head.slice(at..at + field.value.len());
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| malformed("a header's value"))?);
    }
    Ok(headers)
}

/// How the end of the body is found; `None`: by the end of the connection (RFC 9112, section 6.3).
fn body_length(head: &Parts) -> Result<Option<BodyLength>, CallError> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Some(BodyLength::None));
    }
    let lengths = head.headers.contains_key(CONTENT_LENGTH);
    if head.headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = list(&head.headers, TRANSFER_ENCODING);
        let chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if lengths || !chunked || codings.next().is_some() || head.version == Version::HTTP_10 {
            return Err(malformed("a Transfer-Encoding other than chunked alone"));
        }
        return Ok(Some(BodyLength::Chunked));
    }
    if !lengths {
        return Ok(None);
    }
    let mut lengths = list(&head.headers, CONTENT_LENGTH).map(|length| parse_length(length).ok());
    let first = lengths.next().flatten();
    match first {
        Some(length) if lengths.all(|other| other == first) => Ok(Some(BodyLength::Length(length))),
        _ => Err(malformed("the Content-Length is not one number of bytes")),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
