//! A bare TCP client: writes any bytes, reads HTTP answers and WebSocket frames byte by byte.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::frame::{CLOSE, Frame};
use crate::http::Answer;
use crate::wait::within;

/// The key of the example handshake (RFC 6455, section 1.3).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must answer to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a connection was found to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side sent FIN.
    Eof,
    /// The other side reset it.
    Reset,
}

/// One TCP connection.
pub struct Raw {
    stream: TcpStream,
    since: Instant,
    /// How the last thing written began: for failures.
    wrote: Vec<u8>,
    /// Received and not yet taken.
    pub buffer: Vec<u8>,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(to: SocketAddr) -> Raw {
        let stream = within("a TCP connection", TcpStream::connect(to)).await.expect("connect");
        Raw::over(stream)
    }

    /// Connects with a small receive buffer, so that the other side is soon stuck.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect_narrow(to: SocketAddr) -> Raw {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.set_recv_buffer_size(4096).expect("receive buffer");
        let stream = within("a TCP connection", socket.connect(to)).await.expect("connect");
        Raw::over(stream)
    }

    /// Goes on with a connection that was made otherwise.
    ///
    /// # Panics
    /// When the socket refuses its options.
    pub fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).expect("nodelay");
        Raw { stream, since: Instant::now(), wrote: Vec::new(), buffer: Vec::new() }
    }

    /// Writes all of `bytes`.
    ///
    /// # Panics
    /// When the other side has gone or does not read.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.wrote = bytes[..bytes.len().min(60)].to_vec();
        within("a write", self.stream.write_all(bytes)).await.expect("write");
    }

    /// Writes as much of `bytes` as the other side takes before it goes away.
    pub async fn write_anyway(&mut self, bytes: &[u8]) {
        // The other side may refuse in the middle: what it says is read afterwards.
        let _ = within("a write", self.stream.write_all(bytes)).await;
    }

    /// Writes `bytes` one by one, each in a segment of its own.
    ///
    /// # Panics
    /// When the other side has gone or does not read.
    pub async fn write_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write(std::slice::from_ref(byte)).await;
            tokio::task::yield_now().await;
        }
    }

    /// Writes one frame.
    ///
    /// # Panics
    /// When the other side has gone or does not read.
    pub async fn send(&mut self, frame: &Frame) {
        self.write(&frame.encode()).await;
    }

    /// Sends FIN; reading goes on.
    ///
    /// # Panics
    /// When the connection has gone.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("shutdown");
    }

    /// The socket, and what was received and not yet taken.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Ends the connection by RST.
    pub fn reset(self) {
        reset(self.stream);
    }

    /// Reads once more; `Some` at the end.
    async fn more(&mut self) -> Option<End> {
        self.buffer.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Some(End::Eof),
            Ok(_) => None,
            Err(_) => Some(End::Reset),
        }
    }

    /// Whether nothing at all arrives for as long as [`crate::wait::QUIET`].
    pub async fn is_quiet(&mut self) -> bool {
        let more = tokio::time::timeout(crate::wait::QUIET, self.more()).await;
        more.is_err() && self.buffer.is_empty()
    }

    /// Waits for the end of the connection; what still arrives stays in the buffer.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn end(&mut self) -> End {
        let ended = async {
            loop {
                if let Some(end) = self.more().await {
                    return end;
                }
            }
        };
        within("the end of the connection", ended).await
    }

    /// Waits for the end and checks that nothing arrived before it.
    ///
    /// # Panics
    /// When something did, or the connection stays open.
    pub async fn expect_end(&mut self) {
        self.end().await;
        let rest = String::from_utf8_lossy(&self.buffer);
        assert!(self.buffer.is_empty(), "bytes before the end of the connection: {rest:?}");
    }

    /// The next HTTP answer, to a request other than `HEAD`.
    ///
    /// # Panics
    /// When there is none, or it is malformed.
    pub async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next HTTP answer, to a request with this method.
    ///
    /// # Panics
    /// When there is none, or it is malformed.
    pub async fn answer_to(&mut self, method: &str) -> Answer {
        within("an HTTP answer", self.read_answer(method)).await
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let mut answer = loop {
            if let Some(answer) = self.take_head() {
                break answer;
            }
            self.need("an answer's head").await;
        };
        let none = method == "HEAD" || answer.status < 200 || [204, 304].contains(&answer.status);
        if none {
            return answer;
        }
        if answer.header("transfer-encoding").is_some() {
            answer.body = self.take_chunks().await;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a Content-Length");
            answer.body = self.take(length).await;
        } else {
            self.end().await;
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    fn take_head(&mut self) -> Option<Answer> {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.buffer).unwrap_or_else(|error| {
            panic!("not an HTTP answer ({error}): {:?}", String::from_utf8_lossy(&self.buffer))
        });
        let httparse::Status::Complete(length) = parsed else {
            return None;
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let named = |header: &httparse::Header<'_>| (header.name.to_ascii_lowercase(), text(header.value));
        let status = response.code.expect("a status");
        let headers = response.headers.iter().map(named).collect();
        self.buffer.drain(..length);
        Some(Answer { status, headers, body: Vec::new() })
    }

    async fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line().await;
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
            body.extend(self.take(size).await);
            assert_eq!(self.take_line().await, "", "the end of a chunk");
            if size == 0 {
                return body;
            }
        }
    }

    async fn take_line(&mut self) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            self.need("a line").await;
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.need("a body").await;
        }
        self.buffer.drain(..length).collect()
    }

    async fn need(&mut self, what: &str) {
        if let Some(end) = self.more().await {
            let (wrote, rest) = (String::from_utf8_lossy(&self.wrote), String::from_utf8_lossy(&self.buffer));
            let open = self.since.elapsed();
            panic!("{end:?} within {what} after {open:?}; written {wrote:?}, before the end came {rest:?}");
        }
    }

    /// The next frame, checked to be as a server must send it: unmasked, no reserved bits.
    ///
    /// # Panics
    /// When the connection ends first.
    pub async fn frame(&mut self) -> Frame {
        let frame = async {
            loop {
                if let Some((frame, length)) = Frame::decode(&self.buffer) {
                    self.buffer.drain(..length);
                    return frame;
                }
                self.need("a frame").await;
            }
        };
        let frame = within("a WebSocket frame", frame).await;
        assert_eq!((frame.mask, frame.reserved), (None, 0), "a server's frame: {frame:?}");
        frame
    }

    /// The next frame, which must be this one.
    ///
    /// # Panics
    /// When it is another one, or none comes.
    pub async fn expect(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        let expected = Frame::new(opcode, payload).unmasked();
        assert_eq!(self.frame().await, expected);
    }

    /// The next frame, which must be a close; its code and reason.
    ///
    /// # Panics
    /// When it is another one, or none comes.
    pub async fn expect_close(&mut self) -> (u16, String) {
        let frame = self.frame().await;
        assert_eq!(frame.opcode, CLOSE, "wanted a close frame, got {frame:?}");
        frame.close_code()
    }

    /// Shakes hands at `target`.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn open(to: SocketAddr, target: &str) -> Raw {
        let mut raw = Raw::connect(to).await;
        raw.shake_hands(target).await;
        raw
    }

    /// Shakes hands on this connection.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn shake_hands(&mut self, target: &str) {
        self.write(&handshake(target, &[])).await;
        let answer = self.answer().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    }
}

/// The bytes of a correct handshake, with more headers.
pub fn handshake(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    crate::http::encode("GET", target, &[&own, headers].concat(), None)
}

/// Ends a connection by RST.
pub fn reset(stream: TcpStream) {
    // Only a connection that has gone already refuses this, and then there is nothing to reset.
    let _ = stream.set_zero_linger();
}
