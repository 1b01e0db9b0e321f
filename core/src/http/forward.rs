//! Which of a client's headers the API gets (contract, section 3.3).

use std::net::IpAddr;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers of one connection or of the handshake; and `Accept-Encoding`, as nobody decodes here.
const DROPPED: [&str; 18] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-authenticate",
    "http2-settings",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "host",
    "content-length",
    "expect",
    "accept-encoding",
];

/// Headers that say what only the gateway knows.
const OURS: [&str; 2] = ["x-connection-id", "x-close-code"];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's end-to-end headers, less those that only the gateway may set (`remove` names more
/// of these), with the client's address appended to `X-Forwarded-For`.
pub(crate) fn forwarded_headers(client: &HeaderMap, peer: IpAddr, remove: &[HeaderName]) -> HeaderMap {
    let named = connection_options(client);
    let ours = |name: &HeaderName| {
        let plain = dashed(name.as_str());
        OURS.contains(&plain.as_str()) || remove.iter().any(|removed| dashed(removed.as_str()) == plain)
    };
    let mut headers = HeaderMap::with_capacity(client.len() + 4);
    for (name, value) in client {
        let text = name.as_str();
        let drop = DROPPED.contains(&text) || named.iter().any(|option| option == text) || ours(name);
        if !drop && *name != FORWARDED_FOR {
            headers.append(name.clone(), value.clone());
        }
    }
    if let Some(chain) = forwarded_for(client, peer) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers
}

/// CGI makes the same variable of `X_Connection_Id` and `X-Connection-Id`.
fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// What the `Connection` header names is hop-by-hop (RFC 9110, section 7.6.1). The chain of
/// addresses is not for the client to remove.
fn connection_options(client: &HeaderMap) -> Vec<String> {
    let values = client.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let options = values.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase());
    options.filter(|option| option != FORWARDED_FOR.as_str()).collect()
}

fn forwarded_for(client: &HeaderMap, peer: IpAddr) -> Option<HeaderValue> {
    let mut chain: Vec<u8> = Vec::new();
    for value in client.get_all(FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.to_canonical().to_string().as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)).ok()
}
