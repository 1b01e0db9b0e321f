//! The opening handshake (RFC 6455, section 4.2), on tungstenite's check and answer.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Version};
use tungstenite::handshake::server::create_response_with_body;

use crate::http::Head;

/// The most subprotocols that a client may offer: each is compared with all before it.
const MOST_OFFERED: usize = 64;

/// What of a checked handshake is needed later.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// `Sec-WebSocket-Accept` of the answer.
    pub(crate) accept: HeaderValue,
    /// The subprotocols that the client offered, in its order.
    pub(crate) offered: Vec<String>,
}

/// Why a handshake is refused before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// Another version than 13.
    Version,
    /// Anything else, with what the client should know.
    Bad(&'static str),
}

/// Whether a request means to be a handshake, good or bad.
pub(crate) fn is_handshake(head: &Head) -> bool {
    head.method == Method::GET
        && (head.headers.contains_key(header::SEC_WEBSOCKET_KEY)
            || head.headers.contains_key(header::SEC_WEBSOCKET_VERSION)
            || head
                .headers
                .get_all(header::UPGRADE)
                .iter()
                .any(|value| value.as_bytes().to_ascii_lowercase().windows(9).any(|window| window == b"websocket")))
}

/// Checks a handshake whole (contract, section 3.1).
pub(crate) fn check(head: &Head) -> Result<Handshake, HandshakeError> {
    if head.version != Version::HTTP_11 {
        return Err(HandshakeError::Bad("the handshake needs HTTP/1.1"));
    }
    for name in [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION] {
        if head.headers.get_all(name).iter().count() > 1 {
            return Err(HandshakeError::Bad("a handshake header is repeated"));
        }
    }
    match head.headers.get(header::SEC_WEBSOCKET_VERSION) {
        Some(version) if version != "13" => return Err(HandshakeError::Version),
        _ => {}
    }
    let mut request = Request::new(());
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_KEY] {
        // Connection may come as several headers, tungstenite looks at one.
        if let Some(value) = joined(&head.headers, &name) {
            request.headers_mut().insert(name, value);
        }
    }
    let response = create_response_with_body(&request, || ()).map_err(|error| HandshakeError::Bad(explain(&error)))?;
    let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).cloned();
    let accept = accept.ok_or(HandshakeError::Bad("the handshake is incomplete"))?;
    Ok(Handshake { accept, offered: offered(&head.headers)? })
}

fn joined(headers: &HeaderMap, name: &header::HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let mut text = first.as_bytes().to_vec();
    for value in values {
        text.extend_from_slice(b", ");
        text.extend_from_slice(value.as_bytes());
    }
    // A tab is white space too (RFC 9110, section 5.6.3), but tungstenite splits at spaces only.
    text.iter_mut().filter(|byte| **byte == b'\t').for_each(|byte| *byte = b' ');
    HeaderValue::from_bytes(&text).ok()
}

// tungstenite has many errors that a handshake cannot have.
#[allow(clippy::wildcard_enum_match_arm)]
fn explain(error: &tungstenite::Error) -> &'static str {
    use tungstenite::error::{Error, ProtocolError};
    match error {
        Error::Protocol(ProtocolError::MissingConnectionUpgradeHeader) => "the handshake lacks `Connection: Upgrade`",
        Error::Protocol(ProtocolError::MissingUpgradeWebSocketHeader) => "the handshake lacks `Upgrade: websocket`",
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            "the handshake lacks `Sec-WebSocket-Version: 13`"
        }
        Error::Protocol(ProtocolError::MissingSecWebSocketKey) => "the handshake lacks `Sec-WebSocket-Key`",
        _ => "`Sec-WebSocket-Key` is not 16 bytes in base64",
    }
}

fn offered(headers: &HeaderMap) -> Result<Vec<String>, HandshakeError> {
    let mut names: Vec<String> = Vec::new();
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let bad = HandshakeError::Bad("`Sec-WebSocket-Protocol` is malformed");
        let text = value.to_str().map_err(|_| bad)?;
        for name in text.split(',').map(str::trim) {
            if names.len() == MOST_OFFERED {
                return Err(HandshakeError::Bad("over 64 subprotocols are offered"));
            }
            let token = !name.is_empty() && http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !token || names.iter().any(|other| other == name) {
                return Err(bad);
            }
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The 101, with the chosen subprotocol and the cookies that the API set.
pub(crate) fn upgrade_response(accept: &HeaderValue, protocol: Option<&str>, cookies: &[HeaderValue]) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    line(b"Sec-WebSocket-Accept", accept.as_bytes());
    if let Some(protocol) = protocol {
        line(b"Sec-WebSocket-Protocol", protocol.as_bytes());
    }
    for cookie in cookies {
        line(b"Set-Cookie", cookie.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}
