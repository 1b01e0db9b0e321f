//! Requests to the API, as they are written.

use bytes::Bytes;
use http::Request;

/// Appends the head of a request of [`crate::Action::Call`] to `out`, as it goes to the server
/// itself: with path and query only (RFC 9112, section 3.2.1). The body follows as it is; its
/// length is among the headers.
pub fn write_request_head(out: &mut Vec<u8>, request: &Request<Bytes>) {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut write = |part: &[u8]| out.extend_from_slice(part);
    write(request.method().as_str().as_bytes());
    write(b" ");
    write(target.as_bytes());
    write(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        write(name.as_str().as_bytes());
        write(b": ");
        write(value.as_bytes());
        write(b"\r\n");
    }
    write(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_out_as_to_the_server_itself() {
        let request = Request::post("http://api.test:8000/base/id?x=1")
            .header("host", "api.test:8000")
            .header("content-length", "5")
            .body(Bytes::from_static(b"hello"));
        let mut out = Vec::new();
        write_request_head(&mut out, &request.expect("a valid request"));
        assert_eq!(out, b"POST /base/id?x=1 HTTP/1.1\r\nhost: api.test:8000\r\ncontent-length: 5\r\n\r\n");
    }
}
