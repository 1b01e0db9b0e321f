//! The first line of a request, looked at byte by byte as it comes in.

use http::{HeaderValue, Method, StatusCode, Version};

use super::{Refusal, is_token_byte};
use crate::authority::Authority;

const MAX_METHOD: usize = 32;
const MAX_TARGET: usize = 8 * 1024;
const MAX_VERSION: usize = 8;
/// Room for a few empty lines before the request, which some clients send after a body.
const MAX_BEFORE: usize = 16;

/// Where the search for the end of the line stands.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestLineScan {
    /// All bytes before this one have been looked at.
    next: usize,
    /// Where the line begins, after empty lines.
    start: usize,
    /// Where the word begins that `next` is in.
    word: usize,
    /// Spaces so far in the line: 0 is in the method, 1 in the target, 2 in the version.
    spaces: u8,
}

/// What the line says.
#[derive(Clone, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) version: Version,
    /// The authority of a target in absolute form, which goes before the `Host` header.
    pub(super) authority: Option<HeaderValue>,
}

impl RequestLineScan {
    /// Looks at what is new in `bytes`. Gives the line once it is there, and where it ends.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<(usize, RequestLine)>, Refusal> {
        while let Some(&byte) = bytes.get(self.next) {
            let after_cr = self.next > self.start && bytes[self.next - 1] == b'\r';
            match byte {
                b'\n' if after_cr => {
                    let line = &bytes[self.start..self.next - 1];
                    self.next += 1;
                    if !line.is_empty() {
                        return Ok(Some((self.next, RequestLine::parse(line)?)));
                    }
                    self.start = self.next;
                    self.word = self.next;
                    if self.start > MAX_BEFORE {
                        return Err(Refusal::bad("too many empty lines before the request"));
                    }
                }
                b'\n' => {
                    return Err(Refusal::bad("a line of the request head ends in LF without CR"));
                }
                _ if after_cr => return Err(Refusal::bad("the request head has a CR without LF")),
                b'\r' => self.next += 1,
                _ => {
                    self.check(byte)?;
                    self.next += 1;
                }
            }
        }
        Ok(None)
    }

    /// Refuses a byte that no good line has at `next`.
    fn check(&mut self, byte: u8) -> Result<(), Refusal> {
        let length = self.next - self.word;
        match (byte, self.spaces) {
            (b' ', 0 | 1) => {
                self.spaces += 1;
                self.word = self.next + 1;
                Ok(())
            }
            (0x16, 0) if length == 0 => Err(Refusal::bad("this port speaks plain HTTP, not TLS")),
            (_, 0) if !is_token_byte(byte) => Err(Refusal::bad("this is not an HTTP request")),
            (_, 0) if length == MAX_METHOD => Err(Refusal::bad("the method is too long")),
            (_, 1) if !is_target_byte(byte) => {
                Err(Refusal::bad("the request target has a character that must be percent-encoded, or a fragment"))
            }
            (_, 1) if length == MAX_TARGET => {
                Err(Refusal::new(StatusCode::URI_TOO_LONG, "the request target is over 8 KiB"))
            }
            (_, 2) if length == MAX_VERSION => Err(malformed()),
            _ => Ok(()),
        }
    }
}

impl RequestLine {
    /// Reads the line, whose bytes [`RequestLineScan::check`] has seen.
    fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let version = parse_version(version)?;
        let method = Method::from_bytes(method).map_err(|_| malformed())?;
        let target = std::str::from_utf8(target).map_err(|_| malformed())?;
        let (authority, target) = split_target(target)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        // An absolute target may leave the path out.
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(RequestLine { method, path, query, version, authority })
    }
}

fn malformed() -> Refusal {
    Refusal::bad("the request line is not of the form: method, target, HTTP/1.1")
}

fn parse_version(version: &[u8]) -> Result<Version, Refusal> {
    match version {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1 and HTTP/1.0"))
        }
        _ => Err(malformed()),
    }
}

/// Splits the authority off a target in absolute form; one in origin form has none.
fn split_target(target: &str) -> Result<(Option<HeaderValue>, &str), Refusal> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let refusal = || Refusal::bad("the request target must be a path, or an absolute http:// address");
    let (scheme, rest) = target.split_once("://").ok_or_else(refusal)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(refusal());
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Authority::parse(authority).ok_or_else(refusal)?;
    let authority = HeaderValue::from_str(authority).map_err(|_| refusal())?;
    Ok((Some(authority), target))
}

/// What a target may have: all that [`http::Uri`] takes in a query, which is more than RFC 3986
/// lets in (browsers leave `|` and the like as they are), and no fragment.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>".contains(&byte)
}
