//! An API that plays HTTP/2 frame by frame, for what no proper server does when asked to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::within;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A setting of RFC 9113, section 6.5.2.
const MAX_CONCURRENT_STREAMS: u16 = 3;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// `PROTOCOL_ERROR`.
pub const PROTOCOL_ERROR: u32 = 1;
/// `NO_ERROR` of RFC 9113, section 7.
pub const NO_ERROR: u32 = 0;
/// `INTERNAL_ERROR`.
pub const INTERNAL_ERROR: u32 = 2;
/// `CANCEL`.
pub const CANCEL: u32 = 8;

/// Where the gateway connects to.
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Listener {
        Listener(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    /// Where.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    /// The next connection, of which nothing has been read.
    ///
    /// # Panics
    /// When none comes.
    pub async fn bare(&self) -> TcpStream {
        let (stream, _) = within("a connection to the API", self.0.accept()).await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
    }

    /// The next connection, after both sides have said how they are set.
    ///
    /// # Panics
    /// When none comes, or it does not begin as HTTP/2.
    pub async fn connection(&self) -> Connection {
        let mut stream = self.bare().await;
        let mut preface = [0; PREFACE.len()];
        within("the preface", stream.read_exact(&mut preface)).await.expect("the preface");
        assert_eq!(&preface, PREFACE);
        let mut connection = Connection { stream };
        connection.write(SETTINGS, 0, 0, &[]).await;
        connection
    }
}

/// One connection of the gateway.
pub struct Connection {
    stream: TcpStream,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Connection {
    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.expect("the gateway reads");
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        within("a frame's payload", self.stream.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Allows so many streams at once, and waits until the gateway knows.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn allow_streams(&mut self, most: u32) {
        let setting = [&MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &most.to_be_bytes()].concat();
        self.write(SETTINGS, 0, 0, &setting).await;
        loop {
            let frame = self.read().await.expect("the gateway says that it knows");
            if frame.kind == SETTINGS && frame.flags & ACK != 0 {
                return;
            }
        }
    }

    /// The next frame that is about a stream or the end; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            match frame.kind {
                SETTINGS | PING if frame.flags & ACK == 0 => {
                    let echo = if frame.kind == PING { frame.payload.as_slice() } else { &[] };
                    self.write(frame.kind, ACK, 0, echo).await;
                }
                DATA | HEADERS | RST_STREAM | GOAWAY => return Some(frame),
                _ => {}
            }
        }
    }

    /// The next request: its stream and its body. Only one is being sent at a time.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn request(&mut self) -> (u32, String) {
        let mut frame = self.next().await.expect("a request");
        assert_eq!(frame.kind, HEADERS, "a request should begin");
        let (stream, mut body) = (frame.stream, Vec::new());
        while frame.flags & END_STREAM == 0 {
            frame = self.next().await.expect("a body");
            assert_eq!((frame.kind, frame.stream), (DATA, stream), "a body should go on");
            body.extend_from_slice(&frame.payload);
        }
        (stream, String::from_utf8(body).expect("text"))
    }

    /// Waits for the gateway to give up a call; its reason.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn given_up(&mut self, stream: u32) -> u32 {
        let frame = self.next().await.expect("a reset");
        assert_eq!((frame.kind, frame.stream), (RST_STREAM, stream));
        u32::from_be_bytes(frame.payload.try_into().expect("a reason"))
    }

    /// Answers 200 with this text.
    pub async fn answer(&mut self, stream: u32, body: &str) {
        // The whole head in one byte: field 8 of the static table, `:status: 200`.
        self.write(HEADERS, END_HEADERS, stream, &[0x88]).await;
        self.write(DATA, END_STREAM, stream, body.as_bytes()).await;
    }

    /// Answers with a body that is longer than its head says.
    pub async fn answer_wrongly(&mut self, stream: u32) {
        // `:status: 200`, and field 28 of the static table, `content-length`, with the value 5.
        self.write(HEADERS, END_HEADERS, stream, &[0x88, 0x0f, 28 - 15, 1, b'5']).await;
        self.write(DATA, 0, stream, b"longer").await;
    }

    /// Says that streams above `last` have not been looked at, and no new ones will be.
    pub async fn go_away(&mut self, last: u32, reason: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat()).await;
    }
}
