//! Requests and answers as the demo sees them, from and to tiny_http's.

use std::io::{self, Read};

use percent_encoding::percent_decode_str;
use tiny_http::{Header, Method, Request, Response};

/// The largest body that is read, in bytes: well over any sensible `--max-message` of a demo.
const MAX_BODY: u64 = 16 << 20;

/// A request, read whole.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Percent-decoded segments of the path: `/api/a%2Fb` is `["api", "a/b"]`.
    pub(super) path: Vec<String>,
    query: String,
    headers: Vec<Header>,
    pub(super) body: Vec<u8>,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
}

/// A message, or anything else that is not for the page.
#[derive(Debug)]
pub(super) enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl Answer {
    pub(super) fn text(status: u16, text: impl Into<String>) -> Answer {
        Answer { status, body: Body::Text(text.into()) }
    }
}

impl Call {
    /// Reads the request; an answer that refuses it if it makes no sense.
    ///
    /// # Errors
    /// When reading fails.
    pub(super) fn read(request: &mut Request) -> io::Result<Result<Call, Answer>> {
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let path = path.split('/').skip(1).map(decode).collect::<Option<Vec<_>>>();
        let query = query.to_owned();
        let mut body = Vec::new();
        request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body)?;
        Ok(match path {
            _ if body.len() as u64 > MAX_BODY => Err(Answer::text(413, "too large for the demo")),
            None => Err(Answer::text(400, "the path is not UTF-8")),
            Some(path) => {
                let (method, headers) = (request.method().clone(), request.headers().to_vec());
                Ok(Call { method, path, query, headers, body })
            }
        })
    }

    /// A header's value, or nothing.
    pub(super) fn header(&self, name: &'static str) -> &str {
        self.headers.iter().find(|header| header.field.equiv(name)).map_or("", |header| header.value.as_str())
    }

    /// A value of the query, percent-decoded, or nothing.
    pub(super) fn query(&self, name: &str) -> String {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| decode(value)).unwrap_or_default()
    }

    /// Is the body a binary message?
    pub(super) fn binary(&self) -> bool {
        let kind = self.header("Content-Type").split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/octet-stream")
    }

    /// Does a page of another site ask? Browsers say so; nobody else has an `Origin`.
    pub(super) fn cross_site(&self) -> bool {
        let origin = self.header("Origin");
        !origin.is_empty() && origin.split_once("://").map(|(_, host)| host) != Some(self.header("Host"))
    }
}

/// Sends `body` with `status` and `headers`, never to be cached.
///
/// # Errors
/// When writing fails: the other end has gone.
pub(super) fn respond(request: Request, status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> io::Result<()> {
    let mut response = Response::from_data(body).with_status_code(status).with_chunked_threshold(usize::MAX);
    for (name, value) in headers.iter().chain(&[("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]) {
        if let Ok(header) = Header::from_bytes(*name, *value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}
