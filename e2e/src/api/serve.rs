//! One connection of the API server: requests in, whatever the script says out.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::answer::{Answer, Content, Then};
use super::law::Outcome;
use super::request::Request;
use super::{Shared, http2};

/// Enough for anything a test sends; more is taken for a runaway.
const MOST: usize = 64 << 20;

pub(super) struct Server {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: usize,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) fn new(stream: TcpStream, number: usize, shared: Arc<Shared>) -> Server {
        Server { stream, buffer: Vec::new(), number, shared }
    }

    pub(super) async fn run(mut self, mut close_idle: watch::Receiver<u64>) {
        let mut first = [0; http2::PREFACE.len()];
        tokio::select! {
            biased;
            // Whatever is wrong comes up again where a request is read.
            _ = self.stream.peek(&mut first) => {}
            _ = close_idle.changed() => return,
        }
        if first == *http2::PREFACE {
            return http2::serve(self.stream, self.number, self.shared, close_idle).await;
        }
        loop {
            let request = tokio::select! {
                biased;
                request = self.request() => request,
                _ = close_idle.changed(), if self.buffer.is_empty() => return,
            };
            let Some(request) = request else { return };
            let pass = self.shared.begin(request);
            let answer = self.shared.decide(&pass.request);
            let (outcome, then) = self.play(answer).await;
            pass.end(outcome);
            match then {
                Then::KeepAlive => {}
                Then::Close => return,
                Then::Reset => return crate::raw::reset(self.stream),
                Then::HalfClose => {
                    // The gateway may have closed first; either way this side's FIN is out.
                    let _ = self.stream.shutdown().await;
                    return self.other_side_ends().await;
                }
                Then::Hang => return self.other_side_ends().await,
            }
        }
    }

    /// Plays the answer; how the law sees it and what is to become of the connection.
    async fn play(&mut self, mut answer: Answer) -> (Outcome, Then) {
        const GONE: (Outcome, Then) = (Outcome::Abandoned, Then::Close);
        if let Some(before) = answer.before.take() {
            tokio::select! {
                biased;
                () = before => {}
                () = self.other_side_ends() => return GONE,
            }
        }
        // An answer to somebody who had given up before is none, however late this side is.
        if self.other_side_ends().now_or_never().is_some() {
            return GONE;
        }
        if matches!(answer.content, Content::Nothing) && answer.then == Then::Hang {
            self.other_side_ends().await;
            return GONE;
        }
        match self.write(&answer).await {
            Ok(()) => (answer.outcome(), answer.then),
            Err(_) => GONE,
        }
    }

    async fn write(&mut self, answer: &Answer) -> std::io::Result<()> {
        let bytes = answer.encode();
        match answer.drip {
            None => self.stream.write_all(&bytes).await?,
            Some(pause) => {
                // The pause comes first, so that the answer has ended once its last byte is out.
                for byte in bytes {
                    tokio::time::sleep(pause).await;
                    self.stream.write_all(&[byte]).await?;
                }
            }
        }
        if matches!(answer.content, Content::Endless) {
            let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
            loop {
                self.stream.write_all(&chunk).await?;
            }
        }
        Ok(())
    }

    /// Waits until the gateway ends the connection; what it still sends is kept.
    async fn other_side_ends(&mut self) {
        while self.more().await.is_some() {}
    }

    async fn more(&mut self) -> Option<()> {
        self.buffer.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) if self.buffer.len() > MOST => None,
            Ok(_) => Some(()),
        }
    }

    /// The next request; `None` at the end of the connection or of sense.
    async fn request(&mut self) -> Option<Request> {
        let mut request = loop {
            match self.take_head() {
                Ok(Some(request)) => break request,
                Ok(None) => self.more().await?,
                Err(error) => {
                    self.shared.fault(format!("the gateway sent no HTTP: {error}"));
                    return None;
                }
            }
        };
        let coding = request.header("transfer-encoding").map(str::to_owned);
        let length = request.all("content-length").join(",");
        request.body = match (coding.as_deref(), length.as_str()) {
            (None, "") => Vec::new(),
            (None, length) => {
                let Ok(length) = length.parse() else {
                    self.shared.fault(format!("the gateway sent Content-Length {length:?}"));
                    return None;
                };
                self.take(length).await?
            }
            (Some(coding), length) => {
                let what = format!("Transfer-Encoding {coding:?}, Content-Length {length:?}");
                self.shared.fault(format!("the gateway sent a call with {what}"));
                return None;
            }
        };
        Some(request)
    }

    fn take_head(&mut self) -> Result<Option<Request>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; 256];
        let mut parsed = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(&self.buffer)? else {
            return Ok(None);
        };
        let header = |header: &httparse::Header<'_>| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        };
        let request = Request {
            order: 0,
            connection: self.number,
            method: parsed.method.unwrap_or_default().into(),
            target: parsed.path.unwrap_or_default().into(),
            headers: parsed.headers.iter().map(header).collect(),
            body: Vec::new(),
        };
        self.buffer.drain(..length);
        Ok(Some(request))
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }
}
