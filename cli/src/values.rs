//! How single flags' values are read; every error says what to write instead.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::units::{duration, size};

/// Headers that the gateway itself sets on its calls, or that belong to one connection.
const NOT_TO_BE_SET: [&str; 14] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-close-code",
    "x-connection-id",
    "x-forwarded-for",
];

/// `host:port` or `:port`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let wrong = |why: String| format!("{why}; write HOST:PORT, as in 127.0.0.1:7001, [::1]:7001 or :7001");
    let mut found = full.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong(format!("{text:?} has no address")))
}

/// The headers of one flag, or of the environment.
pub(crate) type Headers = Vec<(HeaderName, HeaderValue)>;

/// One header a line; empty lines are none.
pub(crate) fn headers(text: &str) -> Result<Headers, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let headers: Headers = lines.map(header).collect::<Result<_, _>>()?;
    if headers.is_empty() { Err(NO_HEADER.to_owned()) } else { Ok(headers) }
}

const NO_HEADER: &str = "write 'Name: value'";

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || NO_HEADER.to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    if NOT_TO_BE_SET.contains(&name.as_str()) {
        return Err(format!("{name} is set by the gateway itself; use another name"));
    }
    let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}

pub(crate) fn token(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token must be visible ASCII without spaces, for example from: openssl rand -hex 32".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn protocol(text: &str) -> Result<String, String> {
    let name = text.trim();
    // The grammar of a subprotocol is the grammar of a header's name, but its case counts.
    if HeaderName::from_bytes(name.as_bytes()).is_ok() {
        Ok(name.to_owned())
    } else {
        Err("a subprotocol is a word such as v1.chat; separate several by commas".to_owned())
    }
}

pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("0 would give up at once; write at least 1ms".to_owned()),
        time => Ok(time),
    }
}

pub(crate) fn some_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("0 would let nothing through; write at least 1".to_owned()),
        size => Ok(size),
    }
}

pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no number of at least 1")),
        Ok(count) => Ok(count),
    }
}
