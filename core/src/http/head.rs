//! Request heads: split off, checked, parsed by httparse.

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, StatusCode, Uri, Version};
use httparse::Status;

use super::{BodyLength, Refusal};

const MOST_HEADERS: usize = 100;
const MOST_HEADER_BYTES: usize = 16 * 1024;
const LONGEST_TARGET: usize = 8 * 1024;
/// Method, two spaces and version around the longest target.
const LONGEST_LINE: usize = LONGEST_TARGET + 64;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// As the client wrote it, percent-encoding and all.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// Parses the head at the start of `bytes`: how long it is, and what it says; `None` if its end is
/// not here yet. `scanned` remembers, over calls with a growing buffer, how far it has been looked
/// through; it starts at 0 for each head. All calls together take time linear in the head.
pub(crate) fn parse_head(bytes: &[u8], scanned: &mut usize) -> Result<Option<(usize, Head)>, Refusal> {
    // RFC 9112, section 2.2: empty lines before the request line are skipped.
    let start = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
    if start > 64 {
        return Err(Refusal::bad("empty lines instead of a request"));
    }
    let end = scan(bytes, start, scanned)?;
    let Some(end) = end else { return Ok(None) };
    let head = parse(&bytes[start..end])?;
    Ok(Some((end, head)))
}

/// Looks for the end of the head; refuses line ends that are not CRLF, and what is already too much.
fn scan(bytes: &[u8], start: usize, scanned: &mut usize) -> Result<Option<usize>, Refusal> {
    let mut at = (*scanned).max(start);
    while let Some(found) = memchr::memchr2(b'\r', b'\n', &bytes[at..]) {
        let cr = at + found;
        if bytes[cr] == b'\n' {
            return Err(Refusal::bad("a line ends without CR"));
        }
        match bytes.get(cr + 1) {
            None => {
                *scanned = cr;
                return too_much(&bytes[start..]).map(|()| None);
            }
            Some(b'\n') => {}
            Some(_) => return Err(Refusal::bad("CR without LF")),
        }
        // The line before was empty if it ended right here.
        if cr >= start + 2 && bytes[cr - 2..cr] == *b"\r\n" {
            too_much(&bytes[start..cr + 2])?;
            return Ok(Some(cr + 2));
        }
        at = cr + 2;
    }
    *scanned = bytes.len();
    first_line_may_be_http(&bytes[start..])?;
    too_much(&bytes[start..]).map(|()| None)
}

/// Whether a head, maybe unfinished, is over a limit.
fn too_much(head: &[u8]) -> Result<(), Refusal> {
    let line = memchr::memchr(b'\r', head);
    if line.unwrap_or(head.len()) > LONGEST_LINE {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the target is over 8 KiB"));
    }
    // The request line, and the CRLFs around the headers, do not count.
    let rest = head.len() - line.map_or(head.len(), |line| line + 2).min(head.len());
    if rest > MOST_HEADER_BYTES + 2 {
        return Err(too_many_headers());
    }
    Ok(())
}

fn too_many_headers() -> Refusal {
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "over 100 headers or 16 KiB of them")
}

/// Rubbish (a TLS hello, say) is told at once, not after a timeout.
fn first_line_may_be_http(head: &[u8]) -> Result<(), Refusal> {
    match head.first() {
        Some(byte) if !byte.is_ascii_alphabetic() => Err(Refusal::bad("this is not HTTP")),
        _ => Ok(()),
    }
}

fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Refusal::bad("malformed request")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_many_headers()),
        Err(httparse::Error::Version) => return Err(bad_version(bytes)),
        Err(httparse::Error::HeaderName) => return Err(Refusal::bad("malformed header name")),
        Err(httparse::Error::HeaderValue) => return Err(Refusal::bad("malformed header value")),
        Err(_) => return Err(Refusal::bad("malformed request line")),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::bad("malformed request"));
    };
    let version = if minor == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("malformed method"))?;
    let (path, query) = split_target(target)?;
    let headers = header_map(request.headers)?;
    check_host(&headers, version)?;
    Ok(Head { method, path, query, version, headers })
}

fn bad_version(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    // With one space too many the version is a good one in the wrong place.
    match line.rsplit(|byte| *byte == b' ').next().unwrap_or_default() {
        b"HTTP/1.1" | b"HTTP/1.0" => Refusal::bad("malformed request line"),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        _ => Refusal::bad("malformed HTTP version"),
    }
}

/// Path and query of an origin-form or absolute-form target (RFC 9112, section 3.2).
fn split_target(target: &str) -> Result<(String, Option<String>), Refusal> {
    const MALFORMED: &str = "malformed target";
    if target.len() > LONGEST_TARGET {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the target is over 8 KiB"));
    }
    if target.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
        return Err(Refusal::bad(MALFORMED));
    }
    let uri: Uri = target.parse().map_err(|_| Refusal::bad(MALFORMED))?;
    let http = uri.scheme_str().is_none_or(|scheme| scheme == "http" || scheme == "https");
    if !http || (uri.scheme().is_none() && !target.starts_with('/')) || (uri.scheme().is_some() && uri.host().is_none())
    {
        return Err(Refusal::bad(MALFORMED));
    }
    Ok((uri.path().to_owned(), uri.query().map(str::to_owned)))
}

fn header_map(parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|_| Refusal::bad("malformed header name"))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| Refusal::bad("malformed header value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9112, section 3.2: exactly one valid Host in HTTP/1.1.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Err(Refusal::bad("several Host headers")),
        (None, _) if version == Version::HTTP_11 => Err(Refusal::bad("no Host header")),
        (None, _) => Ok(()),
        (Some(host), None) => {
            let host = host.as_bytes();
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(byte);
            if host.iter().all(plain) { Ok(()) } else { Err(Refusal::bad("malformed Host header")) }
        }
    }
}

impl Head {
    /// How the body's end is found (RFC 9112, section 6); refuses whatever is ambiguous.
    pub(crate) fn framing(&self) -> Result<BodyLength, Refusal> {
        let mut codings = self.headers.get_all(header::TRANSFER_ENCODING).iter();
        let mut lengths = self.headers.get_all(header::CONTENT_LENGTH).iter();
        match (codings.next(), lengths.next()) {
            (Some(_), Some(_)) => Err(Refusal::bad("both Content-Length and Transfer-Encoding")),
            (None, None) => Ok(BodyLength::None),
            (Some(_), None) if self.version == Version::HTTP_10 => Err(Refusal::bad("Transfer-Encoding in HTTP/1.0")),
            (Some(coding), None) => {
                let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
                if chunked && codings.next().is_none() {
                    Ok(BodyLength::Chunked)
                } else {
                    Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "the only transfer coding is chunked"))
                }
            }
            (None, Some(_)) if lengths.next().is_some() => Err(Refusal::bad("several Content-Lengths")),
            (None, Some(length)) => content_length(length.as_bytes()),
        }
    }

    /// Whether another request may follow on the connection (RFC 9112, section 9.3).
    pub(crate) fn keep_alive(&self) -> bool {
        let has = |option: &[u8]| {
            let values = self.headers.get_all(header::CONNECTION).iter();
            values
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(option))
        };
        !has(b"close") && (self.version == Version::HTTP_11 || has(b"keep-alive"))
    }

    /// Whether the client waits for a 100 (RFC 9110, section 10.1.1).
    pub(crate) fn expects_continue(&self) -> Result<bool, Refusal> {
        match self.headers.get(header::EXPECT) {
            Some(_) if self.version == Version::HTTP_10 => Ok(false),
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(_) => Err(Refusal::new(StatusCode::EXPECTATION_FAILED, "the only expectation is 100-continue")),
            None => Ok(false),
        }
    }
}

fn content_length(value: &[u8]) -> Result<BodyLength, Refusal> {
    let malformed = Refusal::bad("malformed Content-Length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(malformed);
    }
    let digits = std::str::from_utf8(value).map_err(|_| malformed.clone())?;
    digits.parse().map(BodyLength::Length).map_err(|_| malformed)
}
