//! ClientIds, queries and the parameters of kicks, as people write them.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;
use ws2http_core::{ApiAddress, ClientId};

use crate::client::Frame;
use crate::pair::pair;

/// Takes the bytes for a ClientId and, after the first `?`, a query. What is an id follows from the decoded
/// text alone; there is one canonical spelling, which is read back as the same id; neither id nor query
/// changes anything else in the API's address; the gateway agrees on a request line. The parameters of a
/// kick arrive in the close frame, or are refused.
///
/// # Panics
///
/// If any of this does not hold.
pub fn client_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (segment, query) = text.split_once('?').map_or((text, None), |(segment, query)| (segment, Some(query)));
    let id = ClientId::parse(segment).ok();
    assert_eq!(id.as_ref().map(ClientId::as_str), decoded(segment).as_deref());
    if let Some(id) = &id {
        check_spelling(id);
        check_address(id, query);
    }
    let on_the_line = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>".contains(&byte));
    if on_the_line(segment) && segment.len() < 4000 && !segment.contains('/') {
        let status = pair(|_| {}).control(&format!("HEAD /{segment} HTTP/1.1\r\nHost: g\r\n\r\n")).status;
        assert_eq!(status, if id.is_some() { 404 } else { 400 });
    }
    if let Some(query) = query.filter(|query| on_the_line(query) && query.len() < 4000) {
        check_kick(query);
    }
    check_any_kick(data);
}

/// What the contract says an id is (section 2), by another decoder.
fn decoded(segment: &str) -> Option<String> {
    let escapes = segment.match_indices('%').all(|(at, _)| {
        let digits = segment.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let text = percent_decode_str(segment).decode_utf8().ok().filter(|_| escapes)?.into_owned();
    let reserved = ["", "-", ".", ".."].contains(&text.as_str());
    (!reserved && text.len() <= 512 && !text.chars().any(|c| c == '/' || c.is_control())).then_some(text)
}

fn check_spelling(id: &ClientId) {
    let canonical = id.encoded().to_string();
    assert!(canonical.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{canonical}");
    assert_eq!(decoded(&canonical).as_deref(), Some(id.as_str()));
    let other: String = id.as_str().bytes().map(|byte| format!("%{byte:02x}")).collect();
    for spelling in [&canonical, &other] {
        let same = ClientId::parse(spelling).expect("another spelling of an id");
        assert_eq!((&same, same.encoded().to_string()), (id, canonical.clone()));
    }
}

fn check_address(id: &ClientId, query: Option<&str>) {
    let api = ApiAddress::parse("https://api.test:8443/a%20b/").expect("a good address");
    let uri = api.uri(id, query);
    assert_eq!(uri.to_string().parse::<Uri>().expect("an address"), uri);
    assert_eq!((uri.scheme_str(), uri.host(), uri.port_u16()), (Some("https"), Some("api.test"), Some(8443)));
    assert_eq!(uri.path(), format!("/a%20b/{}", id.encoded()));
    assert_eq!(uri.query().is_some(), query.is_some());
    let back = |query: &str| percent_decode_str(query).collect::<Vec<u8>>();
    assert_eq!(uri.query().map(back), query.map(back), "a query means what it meant");
}

/// What came of a kick of an open connection: the close frame, if the gateway took it.
fn kick(query: &str) -> Option<(u16, String)> {
    let mut pair = pair(|_| {});
    let client = pair.open("a");
    let status = pair.control(&format!("DELETE /a?{query} HTTP/1.1\r\nHost: g\r\n\r\n")).status;
    match (status, pair.sock(client).frames().as_slice()) {
        (200, [Frame::Close(code, reason)]) => Some((*code, reason.clone())),
        (400, []) => None,
        (status, frames) => panic!("{status}, {frames:?}"),
    }
}

fn may_be_sent(code: u16) -> bool {
    (1000..=4999).contains(&code) && ![1004, 1005, 1006].contains(&code) && !(1015..3000).contains(&code)
}

/// A kick that is taken says what another decoder reads in it.
fn check_kick(query: &str) {
    let Some((code, reason)) = kick(query) else { return };
    assert!(may_be_sent(code) && reason.len() <= 123);
    let last = |name: &str| form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).last();
    let value = |name: &str| last(name).map(|(_, value)| value);
    assert_eq!(Some(code), value("code").map_or(Some(1000), |value| value.parse().ok()));
    assert_eq!(Cow::from(reason), value("reason").unwrap_or_default());
}

/// Any code and any reason arrive as they were, or are refused because they cannot be sent.
fn check_any_kick(data: &[u8]) {
    let [high, low, reason @ ..] = data else { return };
    let Ok(reason) = std::str::from_utf8(reason) else { return };
    let code = u16::from_be_bytes([*high, *low]) % 5100;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", &code.to_string()).append_pair("reason", reason);
    let query = query.finish();
    if query.len() < 4000 {
        let sendable = may_be_sent(code) && reason.len() <= 123;
        assert_eq!(kick(&query), sendable.then(|| (code, reason.to_owned())));
    }
}
