//! A WebSocket client on async-tungstenite, which the gateway's runtimes do not use.

use std::net::SocketAddr;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::TokioAdapter;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::Answer;
use crate::raw::{ACCEPT, Raw, handshake};
use crate::wait::{QUIET, within};

/// What a client hears. Pings are answered and not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A close frame: code and reason, 1005 when it carries none.
    Close(u16, String),
    /// The connection ended.
    Gone,
}

/// One connected WebSocket client.
pub struct Client {
    socket: WebSocketStream<TokioAdapter<TcpStream>>,
    /// The gateway's 101.
    pub accepted: Answer,
}

impl Client {
    /// Connects at `target`.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn connect(to: SocketAddr, target: &str) -> Client {
        let client = Client::attempt(to, target, &[]).await;
        client.unwrap_or_else(|refusal| panic!("connect to {target} refused: {refusal:?}"))
    }

    /// Connects at `target` with more headers; the gateway's answer when it refuses.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// When there is no proper answer.
    pub async fn attempt(to: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Client, Answer> {
        let mut raw = Raw::connect(to).await;
        raw.write(&handshake(target, headers)).await;
        Client::admitted(raw).await
    }

    /// Reads the answer to a handshake sent on `raw`.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// When there is no proper answer.
    pub async fn admitted(mut raw: Raw) -> Result<Client, Answer> {
        let accepted = raw.answer().await;
        if accepted.status != 101 {
            return Err(accepted);
        }
        assert_eq!(accepted.header("sec-websocket-accept"), Some(ACCEPT));
        let (stream, buffer) = raw.into_parts();
        let stream = TokioAdapter::new(stream);
        let socket = WebSocketStream::from_partially_read(stream, buffer, Role::Client, None);
        Ok(Client { socket: socket.await, accepted })
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send(&mut self, message: Message) {
        within("sending a message", self.socket.send(message)).await.expect("send a message");
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Sends a binary message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec())).await;
    }

    /// Sends a message, or fails to when the connection has ended.
    pub async fn try_send(&mut self, message: Message) -> bool {
        within("sending a message", self.socket.send(message)).await.is_ok()
    }

    /// What comes next. Cancel safe.
    pub async fn hear(&mut self) -> Heard {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Heard::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => return Heard::Binary(bytes.to_vec()),
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Heard::Close(code.into(), reason.as_str().to_owned());
                }
                Some(Ok(Message::Close(None))) => return Heard::Close(1005, String::new()),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(_)) | None => return Heard::Gone,
            }
        }
    }

    /// What comes next.
    ///
    /// # Panics
    /// When nothing does.
    pub async fn next(&mut self) -> Heard {
        within("a message", self.hear()).await
    }

    /// The next message, which must be this text.
    ///
    /// # Panics
    /// When it is not.
    pub async fn expect_text(&mut self, text: &str) {
        assert_eq!(self.next().await, Heard::Text(text.to_owned()));
    }

    /// The next message, which must be these bytes.
    ///
    /// # Panics
    /// When it is not.
    pub async fn expect_binary(&mut self, bytes: &[u8]) {
        assert_eq!(self.next().await, Heard::Binary(bytes.to_vec()));
    }

    /// The next thing heard, which must be a close frame; its code and reason.
    ///
    /// # Panics
    /// When it is not.
    pub async fn expect_close(&mut self) -> (u16, String) {
        match self.next().await {
            Heard::Close(code, reason) => (code, reason),
            other => panic!("wanted a close frame, heard {other:?}"),
        }
    }

    /// Whether nothing is heard for as long as [`QUIET`].
    pub async fn is_quiet(&mut self) -> bool {
        timeout(QUIET, self.hear()).await.is_err()
    }

    /// Sends a close frame.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.send(Message::Close(Some(frame))).await;
    }

    /// Closes in order: sends a close frame and waits for the answer, then for the end.
    ///
    /// # Panics
    /// When the gateway does not answer with a close frame of the same code.
    pub async fn close(mut self, code: u16, reason: &str) {
        self.send_close(code, reason).await;
        loop {
            match self.next().await {
                Heard::Text(_) | Heard::Binary(_) => {}
                Heard::Close(answered, _) => break assert_eq!(answered, code, "the answer's code"),
                Heard::Gone => panic!("the connection ended without a close frame"),
            }
        }
        assert_eq!(self.next().await, Heard::Gone);
    }

    /// The socket, to misuse it.
    pub fn into_stream(self) -> TcpStream {
        self.socket.into_inner().into_inner()
    }

    /// Ends the connection by RST.
    pub fn reset(self) {
        crate::raw::reset(self.into_stream());
    }
}
