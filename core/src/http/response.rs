//! Answers of the listening side.

use std::io::Write;

use http::StatusCode;

/// The interim answer to `Expect: 100-continue`.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends an answer to `out`.
///
/// `Content-Length` is that of `body`, of which `head_only` (for `HEAD`) sends nothing. A body without a
/// `Content-Type` among `headers` is plain text. `connection` says whether the connection is kept, where that has to be
/// said. There is no `Date`: the core has no clock.
///
/// Control characters in values become spaces, so that no value can end its line.
pub(crate) fn write_response(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &[(&str, &[u8])],
    body: &[u8],
    connection: Option<&'static str>,
    head_only: bool,
) {
    // RFC 9110, section 6.4.1: these never have a body.
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let reason = status.canonical_reason().unwrap_or_default();
    out.reserve(256 + body.len());
    write_line(out, format_args!("HTTP/1.1 {} {reason}", status.as_str()));
    for (name, value) in headers {
        write_header(out, name, value);
    }
    if !bodiless {
        let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !typed && !body.is_empty() {
            write_header(out, "Content-Type", b"text/plain; charset=utf-8");
        }
        write_line(out, format_args!("Content-Length: {}", body.len()));
    }
    if let Some(connection) = connection {
        write_header(out, "Connection", connection.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if !bodiless && !head_only {
        out.extend_from_slice(body);
    }
}

fn write_line(out: &mut Vec<u8>, line: std::fmt::Arguments<'_>) {
    // Writing into memory cannot fail.
    let _ = write!(out, "{line}\r\n");
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}
