//! Pieces of HTTP, good and bad, each on a connection of its own that must end after it.

/// Methods of the requests that need not be GET, and the bytes, with `{id}` for the client's id and `{auth}`
/// for the header that carries the token.
type Case = (&'static [&'static str], &'static str);

const CASES: [Case; 44] = [
    // Pipelined control requests, the last of which ends the connection.
    (
        &["HEAD", "POST", "POST", "HEAD", "GET", "GET"],
        "HEAD /{id} HTTP/1.1\r\nHost: x\r\n{auth}\r\n\
         POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 3\r\n\r\none\
         POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         HEAD /nobody HTTP/1.1\r\nHost: x\r\n{auth}\r\n\
         GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n\
         GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ),
    (
        &["POST", "DELETE", "POST", "HEAD"],
        "POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 4\r\n\r\nlast\
         DELETE /{id}?code=4002&reason=pipelined HTTP/1.1\r\nHost: x\r\n{auth}\r\n\
         POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 8\r\n\r\ntoo late\
         HEAD /{id} HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n",
    ),
    (&["POST"], "POST /{id} HTTP/1.0\r\n{auth}Content-Length: 3\r\n\r\n1.0"),
    (&["HEAD"], "\r\nHEAD /{id} HTTP/1.0\r\n{auth}\r\n"),
    (&["POST"], "POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Expect: a miracle\r\nContent-Length: 1\r\n\r\nx"),
    (
        &["POST", "POST"],
        "POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
    ),
    // Mistakes and refusals.
    (&[], "GET /{id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "PUT /{id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "GET /{id}/more HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "GET /-/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "DELETE /%2e%2e HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n"),
    (&[], "DELETE /%ff HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n"),
    (&["HEAD"], "HEAD /a%00b HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n"),
    (&[], "DELETE /{id}?code=1005 HTTP/1.1\r\nHost: x\r\n{auth}Connection: close\r\n\r\n"),
    (&[], "DELETE /{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nConnection: close\r\n\r\n"),
    // Handshakes that are none.
    (&[], "GET /{id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"),
    (
        &[],
        "GET /{id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
    ),
    (
        &[],
        "GET /{id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
         Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ),
    (
        &[],
        "GET /{id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nContent-Length: 3\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nabc",
    ),
    // Requests that could be read in two ways.
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\nHost: x\nContent-Length: 1\n\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nX: a\rb\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\n: 1\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nX: a\0b\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST  /{id} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "POST /{id} HTTP/2.0\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"),
    (&[], "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n"),
    (&[], "POST /{id} HTTP/1.1\r\nHost: x\r\n{auth}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"),
    // Too much of something: the filler is written by `case`.
    (&[], "GET /{many} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    (&[], "GET /{id} HTTP/1.1\r\nHost: x\r\nX: {large}\r\n\r\n"),
    (&[], "GET /{id} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
    (&[], "GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET / nonsense\r\n\r\n"),
];

/// How many cases there are.
pub(super) const COUNT: usize = CASES.len();

/// The methods and bytes of a case.
pub(super) fn case(which: usize, id: &str, bearer: Option<&str>) -> (&'static [&'static str], Vec<u8>) {
    let (methods, text) = CASES[which];
    let auth = bearer.map(|bearer| format!("Authorization: {bearer}\r\n")).unwrap_or_default();
    let headers: String = (0..101).map(|number| format!("X-{number}: x\r\n")).collect();
    let fillers = [
        ("{id}", id),
        ("{auth}", &auth),
        ("{many}", &"x".repeat(9000)),
        ("{large}", &"x".repeat(17_000)),
        ("{headers}", &headers),
    ];
    let text = fillers.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    (methods, text.into_bytes())
}
