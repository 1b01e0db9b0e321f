//! What the headers say about the body and the connection.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, StatusCode, Version};

use super::{Head, Refusal, is_token_byte};

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is no body.
    None,
    /// It has so many bytes.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

impl Head {
    /// How long the body is.
    ///
    /// # Errors
    ///
    /// Whatever two readers could understand differently: both a length and a transfer coding, several
    /// lengths (equal ones too), one that is no number, a coding in HTTP/1.0 (400); another coding than
    /// `chunked` alone (501).
    pub(crate) fn framing(&self) -> Result<BodyLength, Refusal> {
        let coded = self.headers.contains_key(TRANSFER_ENCODING);
        let mut lengths = self.headers.get_all(CONTENT_LENGTH).iter();
        match (lengths.next(), lengths.next()) {
            (Some(_), _) if coded => Err(Refusal::bad("both Content-Length and Transfer-Encoding are given")),
            (Some(_), Some(_)) => Err(Refusal::bad("there is more than one Content-Length")),
            (Some(length), None) => parse_length(length.as_bytes()).map(BodyLength::Length),
            (None, _) if coded && self.version == Version::HTTP_10 => {
                Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding"))
            }
            (None, _) if coded => check_codings(&self.headers).map(|()| BodyLength::Chunked),
            (None, _) => Ok(BodyLength::None),
        }
    }

    /// Whether the connection may take another request after this one.
    pub(crate) fn keep_alive(&self) -> bool {
        let says =
            |option: &str| list(&self.headers, CONNECTION).any(|said| said.eq_ignore_ascii_case(option.as_bytes()));
        !says("close") && (self.version == Version::HTTP_11 || says("keep-alive"))
    }

    /// Whether the client waits for [`super::CONTINUE`] before it sends its body. Without a body
    /// there is nothing to continue with.
    ///
    /// # Errors
    ///
    /// 417 for any other expectation. HTTP/1.0 knows none; there the header is ignored.
    pub(crate) fn expects_continue(&self) -> Result<bool, Refusal> {
        if self.version == Version::HTTP_10 {
            return Ok(false);
        }
        let mut expects = false;
        for expectation in list(&self.headers, EXPECT) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "the only expectation known is 100-continue"));
            }
            expects = true;
        }
        Ok(expects)
    }
}

/// The elements of a header that is a list, over all its lines, without white space around them.
pub(super) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// A number of bytes, as HTTP writes it.
pub(super) fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    // `u64::from_str` alone would take a sign.
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.ok_or(Refusal::bad("the Content-Length is not a number of bytes"))
}

fn check_codings(headers: &HeaderMap) -> Result<(), Refusal> {
    let (mut chunked, mut others) = (0, 0);
    for coding in list(headers, TRANSFER_ENCODING) {
        let name = coding.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
        if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
            return Err(Refusal::bad("the Transfer-Encoding is malformed"));
        }
        if !name.eq_ignore_ascii_case(b"chunked") {
            others += 1;
        } else if name.len() == coding.len() {
            chunked += 1;
        } else {
            return Err(Refusal::bad("the transfer coding chunked has no parameters"));
        }
    }
    match (chunked, others) {
        (1, 0) => Ok(()),
        (0 | 1, _) => {
            Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "the only transfer coding known is chunked, alone"))
        }
        _ => Err(Refusal::bad("the transfer coding chunked is given more than once")),
    }
}
