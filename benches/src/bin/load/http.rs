//! The little of HTTP/1.1 that the load generator speaks.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

const MAX_HEADERS: usize = 64;

/// A request whose bytes have all arrived.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    /// Bytes that the whole request took.
    pub(crate) length: usize,
}

impl<'a> Request<'a> {
    /// Reads one request from the start of `bytes`; `None` while it is incomplete.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Request<'a>>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(start) = head.parse(bytes).context("a request that is not HTTP/1.1")? else {
            return Ok(None);
        };
        let (Some(method), Some(target)) = (head.method, head.path) else { bail!("a request without a target") };
        let length = start + body_length(head.headers)?;
        Ok(bytes.get(start..length).map(|body| Request { method, target, body, length }))
    }

    /// The ClientId in the target: its last segment, without the query.
    pub(crate) fn client_id(&self) -> &'a str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// An answer whose bytes have all arrived.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// Bytes that the whole answer took.
    pub(crate) length: usize,
    accept: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    /// Reads one answer from the start of `bytes`; `None` while it is incomplete.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Response<'a>>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(start) = head.parse(bytes).context("an answer that is not HTTP/1.1")? else {
            return Ok(None);
        };
        let status = head.code.context("an answer without a status")?;
        let length = start + if status == 101 { 0 } else { body_length(head.headers)? };
        let accept = value(head.headers, "sec-websocket-accept");
        Ok(bytes.get(start..length).map(|body| Response { status, body, length, accept }))
    }

    /// Fails unless this is the right answer to the handshake of [`write_handshake`].
    pub(crate) fn check_upgraded(&self) -> Result<()> {
        let text = String::from_utf8_lossy(self.body);
        ensure!(self.status == 101, "the handshake was refused: {} {text}", self.status);
        ensure!(self.accept == Some(HANDSHAKE_ACCEPT), "the handshake has a wrong Sec-WebSocket-Accept");
        Ok(())
    }
}

fn value<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize> {
    ensure!(value(headers, "transfer-encoding").is_none(), "a chunked body: only Content-Length is spoken here");
    let Some(length) = value(headers, "content-length") else { return Ok(0) };
    let digits = std::str::from_utf8(length).context("Content-Length is not a number")?;
    digits.parse().context("Content-Length is not a number")
}

/// RFC 6455's example key: every client sends it, so that its answer can be known beforehand.
const HANDSHAKE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const HANDSHAKE_ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Appends a client's WebSocket handshake.
pub(crate) fn write_handshake(out: &mut Vec<u8>, id: &str) {
    put(
        out,
        format_args!(
            "GET /{id} HTTP/1.1\r\nHost: load.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {HANDSHAKE_KEY}\r\n\r\n"
        ),
    );
}

/// Appends a call as the gateway makes it, with the headers of its message calls.
pub(crate) fn write_call(out: &mut Vec<u8>, method: &str, id: &str, body: &[u8]) {
    put(
        out,
        format_args!(
            "{method} /{id} HTTP/1.1\r\nhost: 127.0.0.1:65535\r\ncontent-type: text/plain; charset=utf-8\r\n\
             x-connection-id: 0123456789abcdef01234567\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ),
    );
    out.extend_from_slice(body);
}

/// Appends a push as an application sends it to the gateway.
pub(crate) fn write_push_request(out: &mut Vec<u8>, id: &str, body: &[u8]) {
    put(
        out,
        format_args!(
            "POST /{id} HTTP/1.1\r\nhost: load.test\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        ),
    );
    out.extend_from_slice(body);
}

/// Appends an answer of the API server.
pub(crate) fn write_answer(out: &mut Vec<u8>, status: &str, body: &[u8]) {
    put(
        out,
        format_args!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ),
    );
    out.extend_from_slice(body);
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A Vec takes everything.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        write_call(&mut bytes, "POST", "c-7", b"hello");
        for cut in 0..bytes.len() {
            assert!(Request::parse(&bytes[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        bytes.extend_from_slice(b"POST /next");
        let request = Request::parse(&bytes).unwrap().unwrap();
        assert_eq!((request.method, request.client_id(), request.body), ("POST", "c-7", &b"hello"[..]));
        assert_eq!(&bytes[request.length..], b"POST /next");
    }

    #[test]
    fn a_client_id_has_no_path_and_no_query() {
        let request = Request { method: "GET", target: "/app/c%21?x=/y", body: b"", length: 0 };
        assert_eq!(request.client_id(), "c%21");
    }

    #[test]
    fn chunked_bodies_and_strange_lengths_are_errors() {
        for header in ["transfer-encoding: chunked", "content-length: 5x"] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
            assert!(Response::parse(bytes.as_bytes()).is_err(), "{header}");
        }
    }

    #[test]
    fn only_the_right_accept_upgrades() {
        for (accept, good) in [("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", true), ("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", false)] {
            let bytes = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n\x01");
            let response = Response::parse(bytes.as_bytes()).unwrap().unwrap();
            assert_eq!(response.check_upgraded().is_ok(), good);
            assert_eq!(response.length, bytes.len() - 1);
        }
    }
}
