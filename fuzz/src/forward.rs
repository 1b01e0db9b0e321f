//! A client's headers on their way to the API.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use ws2http_core::{Config, write_request_head};

use crate::client::handshake;
use crate::pair::pair;

/// Whose headers end at the gateway, by what the RFCs and the contract say. `-` stands for `_`, too.
const ENDS_HERE: &[&str] = &[
    // RFC 9110, section 7.6.1, and those that older programs take for the same.
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
    // RFC 6455: this handshake is between the client and the gateway.
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    // Of the call itself.
    "accept-encoding",
    "content-length",
    "expect",
    "host",
    "proxy",
    // Contract, sections 3 and 6: only the gateway may set these.
    "x-close-code",
    "x-connection-id",
    "x-forwarded-for",
];

/// Headers of every call, by configuration.
const API_HEADERS: &[(&str, &str)] = &[("authorization", "Bearer gateway"), ("x-env", "test")];

/// Takes the bytes for more header lines of a handshake (an LF stands for CR LF). If the API is asked, then
/// with the client's end-to-end headers as they were and nothing else of the client's; what only the gateway may
/// say, the gateway says once; and what is written is read back as one request with these headers.
///
/// # Panics
///
/// If any of this does not hold.
pub fn forward(data: &[u8]) {
    for headers in [&[][..], API_HEADERS] {
        let mut scene = pair(|config| configure(config, headers));
        let sock = scene.socket();
        let request = request(data);
        scene.send(sock, &request);
        if let Some(call) = scene.calls.first() {
            check_written(&call.request);
            check_forwarded(&request, &call.request, headers);
        }
        assert!(scene.calls.len() <= 1, "one connect asks once");
    }
}

fn configure(config: &mut Config, headers: &[(&'static str, &'static str)]) {
    let header =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    config.api_headers = headers.iter().map(header).collect();
}

/// A handshake with these lines before its own.
fn request(data: &[u8]) -> Vec<u8> {
    let text = handshake("a", "");
    let (line, rest) = text.split_once("\r\n").expect("a request line");
    let mut request = format!("{line}\r\n").into_bytes();
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(rest.as_bytes());
    request
}

/// All values of each header, in order.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

fn fields(head: &[u8]) -> Fields {
    let mut all = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut all);
    assert!(parsed.parse(head).is_ok_and(|status| status.is_complete()), "{}", head.escape_ascii());
    let mut fields = Fields::new();
    for field in parsed.headers {
        fields.entry(field.name.to_ascii_lowercase()).or_default().push(field.value.to_vec());
    }
    fields
}

fn check_forwarded(request: &[u8], call: &Request<Bytes>, configured: &[(&str, &str)]) {
    let client = fields(request);
    let of_client = client.iter().filter(|(name, _)| passes(name, &client, configured));
    let mut expected: Fields = of_client.map(|(name, values)| (name.clone(), values.clone())).collect();
    for (name, value) in configured {
        expected.insert((*name).to_owned(), vec![value.as_bytes().to_vec()]);
    }
    let before = client.get("x-forwarded-for").into_iter().flatten().filter(|value| !value.is_empty());
    let hops: Vec<&[u8]> = before.map(Vec::as_slice).chain([&b"192.0.2.7"[..]]).collect();
    expected.insert("x-forwarded-for".to_owned(), vec![hops.join(&b", "[..])]);
    expected.insert("host".to_owned(), vec![b"api:8000".to_vec()]);
    let mut written = Vec::new();
    write_request_head(&mut written, call);
    let mut actual = fields(&written);
    let id = actual.remove("x-connection-id").expect("an X-Connection-Id");
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    assert!(id.len() == 1 && !id[0].is_empty() && id[0].iter().all(plain), "{id:?}");
    assert_eq!(actual, expected, "the client: {}\nto the API: {}", request.escape_ascii(), written.escape_ascii());
}

/// Whether a header of the client goes on.
fn passes(name: &str, client: &Fields, configured: &[(&str, &str)]) -> bool {
    let dashed = name.replace('_', "-");
    let said = client.get("connection").into_iter().flatten().flat_map(|value| value.split(|byte| *byte == b','));
    let connection: Vec<String> =
        said.map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase()).collect();
    !ENDS_HERE.contains(&dashed.as_str())
        && !connection.iter().any(|option| option == name)
        && !configured.iter().any(|(set, _)| *set == dashed)
}

/// What goes out is one request: its parser comes to the same end, the same target, the same headers.
pub(crate) fn check_written(request: &Request<Bytes>) {
    let mut written = Vec::new();
    write_request_head(&mut written, request);
    let end = written.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    assert_eq!(end, Some(written.len()), "{}", written.escape_ascii());
    let mut all = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut all);
    assert_eq!(parsed.parse(&written), Ok(httparse::Status::Complete(written.len())));
    assert_eq!(parsed.method, Some(request.method().as_str()));
    assert_eq!(parsed.path, request.uri().path_and_query().map(|target| target.as_str()));
    let read = parsed.headers.iter().map(|field| (field.name, field.value));
    let meant = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    assert!(read.eq(meant), "{}", written.escape_ascii());
    let lengths = request.headers().get_all("content-length");
    let length = request.body().len().to_string();
    assert!(lengths.iter().all(|said| said == length.as_str()), "another length than the body's");
    assert!(request.body().is_empty() || lengths.iter().count() == 1, "a body without its length");
}
