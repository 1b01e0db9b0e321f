//! Which of a client's headers go on to the API (contract, section 3.3).

use std::net::IpAddr;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::framing::list;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers that end at the gateway, in lower case.
const NOT_FORWARDED: [&str; 21] = [
    // Hop by hop (RFC 9110, section 7.6.1).
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // The handshake's own; Sec-WebSocket-Protocol is the API's business.
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    // The call to the API has its own; the gateway does not decode answers.
    "accept-encoding",
    "content-length",
    "expect",
    "host",
    // CGI would make it HTTP_PROXY, which HTTP clients inside the API obey.
    "proxy",
    // Only the gateway may set these.
    "x-close-code",
    "x-connection-id",
];

/// The headers of the `GET` that asks the API: the end-to-end ones of `client`, without those that
/// only the gateway may set or that are named in `remove`, and with `peer` at the end of `X-Forwarded-For`.
///
/// A name with `_` for `-` is removed where the plain one is, since CGI takes both for the same. So is
/// `X_Forwarded_For`. What `Connection` names is removed, but a client cannot have the `X-Forwarded-For`
/// of a proxy removed that way.
pub(crate) fn forwarded_headers(client: &HeaderMap, peer: IpAddr, remove: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + 1);
    for (name, value) in client {
        if !ends_here(name.as_str(), remove) {
            headers.append(name, value.clone());
        }
    }
    for named in list(client, CONNECTION) {
        if let Ok(name) = HeaderName::from_bytes(named) {
            headers.remove(name);
        }
    }
    if !remove.contains(&X_FORWARDED_FOR) {
        headers.insert(X_FORWARDED_FOR, forwarded_for(client, peer));
    }
    headers
}

fn ends_here(name: &str, remove: &[HeaderName]) -> bool {
    // Set anew from all its lines.
    spelled_alike(name, X_FORWARDED_FOR.as_str())
        || NOT_FORWARDED.iter().any(|other| spelled_alike(name, other))
        || remove.iter().any(|other| spelled_alike(name, other.as_str()))
}

/// Whether two names are the same variable to CGI. Both are in lower case.
fn spelled_alike(a: &str, b: &str) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    a.len() == b.len() && a.bytes().map(dashed).eq(b.bytes().map(dashed))
}

/// What `X-Forwarded-For` said, in one line, and the peer.
#[allow(clippy::expect_used)] // A failure is our bug.
fn forwarded_for(client: &HeaderMap, peer: IpAddr) -> HeaderValue {
    let mut line = Vec::new();
    for value in client.get_all(X_FORWARDED_FOR).iter().filter(|value| !value.is_empty()) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    // A listener on [::] sees IPv4 peers as ::ffff:1.2.3.4.
    line.extend_from_slice(peer.to_canonical().to_string().as_bytes());
    HeaderValue::from_bytes(&line).expect("values, commas and an address make a value")
}
