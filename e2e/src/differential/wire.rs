//! HTTP answers as they come, told in one line each. Whatever is wrong with them is told too, and no reason
//! to stop: the other gateway may do the same.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::plan::Control;
use super::transcript::shown;
use crate::http::{Answer, encode};

/// A connection, and what was received and not yet taken.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    pub(super) buffer: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(to: SocketAddr) -> Result<Wire, String> {
        let connecting = timeout(PATIENCE, TcpStream::connect(to)).await;
        let stream = connecting.map_err(|_| "no connection in time")?.map_err(|_| "no connection")?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Wire { stream, buffer: Vec::new() })
    }

    /// Writes as much as the other side takes: why it did not take it all, it says itself or by its end.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// Reads once more; false at the end. Cancel safe.
    pub(super) async fn more(&mut self) -> bool {
        self.buffer.reserve(16 * 1024);
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..))
    }

    /// The next answer, to a request with this method.
    pub(super) async fn answer(&mut self, method: &str) -> Result<Answer, String> {
        match timeout(PATIENCE, self.read_answer(method)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in time, but {}", shown(&self.buffer))),
        }
    }

    async fn read_answer(&mut self, method: &str) -> Result<Answer, String> {
        let mut answer = loop {
            match self.take_head()? {
                Some(answer) => break answer,
                None if self.more().await => {}
                None => return Err(format!("ended after {}", shown(&self.buffer))),
            }
        };
        let none = method == "HEAD" || answer.status < 200 || [204, 304].contains(&answer.status);
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let length: usize = if none { 0 } else { length.ok_or(format!("no length: {answer:?}"))? };
        while self.buffer.len() < length {
            if !self.more().await {
                return Err(format!("ended within the body of {answer:?}"));
            }
        }
        answer.body = self.buffer.drain(..length).collect();
        Ok(answer)
    }

    fn take_head(&mut self) -> Result<Option<Answer>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.buffer).map_err(|error| format!("{error}: {}", shown(&self.buffer)))?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = response.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
        let status = response.code.unwrap_or_default();
        let answer = Answer { status, headers: headers.collect(), body: Vec::new() };
        self.buffer.drain(..length);
        Ok(Some(answer))
    }

    /// The answers to requests with these methods, then to ones with GET, up to the end of the connection.
    pub(super) async fn answers(&mut self, methods: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut methods = methods.iter();
        let told = async {
            while !self.buffer.is_empty() || self.more().await {
                let answer = self.read_answer(methods.next().unwrap_or(&"GET")).await;
                let failed = answer.is_err();
                lines.push(told(&answer));
                if failed {
                    break;
                }
            }
        };
        let ended = timeout(PATIENCE, told).await;
        lines.push(if ended.is_ok() { "ended" } else { "stays open" }.to_owned());
        lines
    }
}

/// An answer in one line: what the contract says of it, not what time it was.
pub(super) fn told(answer: &Result<Answer, String>) -> String {
    match answer {
        Err(why) => why.clone(),
        Ok(Answer { status, headers, body }) => {
            let mut headers: Vec<_> = headers.iter().filter(|(name, _)| name != "date").collect();
            headers.sort_by_key(|(name, _)| name);
            let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{status} [{}] {}", headers.join("; "), shown(body))
        }
    }
}

/// A control request on a connection of its own.
pub(super) async fn control(
    to: &Control,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> String {
    plain(to.address, method, &encode(method, target, &to.headers(headers), body)).await
}

/// The id of a client's connection, if it has one.
pub(super) async fn connection_id(to: &Control, target: &str) -> Option<String> {
    let mut wire = Wire::connect(to.address).await.ok()?;
    wire.write(&encode("HEAD", target, &to.headers(&[]), None)).await;
    wire.answer("HEAD").await.ok()?.header("x-connection-id").map(str::to_owned)
}

/// One request on a connection of its own; the answer.
pub(super) async fn plain(to: SocketAddr, method: &str, bytes: &[u8]) -> String {
    match Wire::connect(to).await {
        Err(why) => why,
        Ok(mut wire) => {
            wire.write(bytes).await;
            told(&wire.answer(method).await)
        }
    }
}
