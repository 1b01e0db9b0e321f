//! The head of a request: its first line and its headers.

use http::header::HOST;
use http::{HeaderMap, Method, Version};

use super::Refusal;
use super::fields::{FieldsScan, parse_fields};
use super::request_line::{RequestLine, RequestLineScan};
use crate::authority::Authority;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The method, known or not.
    pub(crate) method: Method,
    /// The path as it was written, percent escapes and all; begins with a slash.
    pub(crate) path: String,
    /// What was written after the first `?`, if there was one.
    pub(crate) query: Option<String>,
    /// 1.0 or 1.1.
    pub(crate) version: Version,
    /// All headers. `Host` is that of the target if the target was absolute.
    pub(crate) headers: HeaderMap,
}

/// Where [`parse_head`] stands in a head that is still coming in. Starts as `default()` and is
/// back there after every complete head.
#[derive(Clone, Debug)]
pub(crate) struct HeadScan(Progress);

#[derive(Clone, Debug)]
enum Progress {
    RequestLine(RequestLineScan),
    /// Boxed: most heads come in one piece and never get here.
    Fields(Box<(RequestLine, FieldsScan)>),
}

impl Default for HeadScan {
    fn default() -> Self {
        HeadScan(Progress::RequestLine(RequestLineScan::default()))
    }
}

/// Reads a request head (contract, section 9) from the bytes that have come in so far.
///
/// Gives the head and its length, or `None` if it is not complete. Then call again with the same
/// bytes and more after them, and the same `scan`: only the new ones are looked at, so however a
/// head is cut into pieces, each byte is scanned once and the outcome is the same.
///
/// # Errors
///
/// The refusal of the first thing that is wrong, as soon as it is there: over the limits of size
/// even if the end of the head never comes.
pub(crate) fn parse_head(bytes: &[u8], scan: &mut HeadScan) -> Result<Option<(usize, Head)>, Refusal> {
    let (line, mut fields) = match std::mem::take(scan).0 {
        Progress::RequestLine(mut line) => match line.scan(bytes)? {
            Some((end, line)) => (line, FieldsScan::new(end)),
            None => {
                scan.0 = Progress::RequestLine(line);
                return Ok(None);
            }
        },
        Progress::Fields(found) => *found,
    };
    let Some(end) = fields.scan(bytes)? else {
        scan.0 = Progress::Fields(Box::new((line, fields)));
        return Ok(None);
    };
    let headers = parse_fields(&bytes[fields.start..end])?;
    Ok(Some((end, Head::new(line, headers)?)))
}

impl Head {
    fn new(line: RequestLine, mut headers: HeaderMap) -> Result<Self, Refusal> {
        let RequestLine { method, path, query, version, authority } = line;
        check_host(version, &headers)?;
        if let Some(authority) = authority {
            headers.insert(HOST, authority);
        }
        Ok(Head { method, path, query, version, headers })
    }
}

/// RFC 9112, section 3.2.
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Refusal::bad("the Host header is missing")),
        (Some(_), Some(_)) => Err(Refusal::bad("there is more than one Host header")),
        (Some(host), None) => match host.to_str().ok().and_then(Authority::parse) {
            Some(_) => Ok(()),
            None => Err(Refusal::bad("the Host header is not of the form host or host:port")),
        },
    }
}
