//! A client's end of a WebSocket, by async-tungstenite: an implementation that shares nothing with the gateway's.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, client_async_with_config};
use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use http::{Request, Response, header};
use turmoil::net::TcpStream;

/// An open WebSocket.
pub(crate) type WebSocket = WebSocketStream<TokioAdapter<TcpStream>>;

/// The default buffers of 128 KiB would not fit for many.
const BUFFER: usize = 256;

/// Makes the handshake for `target` (`/id?query`) on an open stream, with one more header if there is one.
pub(crate) async fn open(
    stream: TcpStream,
    target: &str,
    more: Option<(&str, u32)>,
) -> Result<(WebSocket, Response<Option<Vec<u8>>>), Error> {
    let mut request = Request::get(format!("ws://gateway{target}"))
        .header(header::HOST, "gateway")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        // A fixed one, so that a seed gives one trace.
        .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some((name, value)) = more {
        request = request.header(name, value);
    }
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
    client_async_with_config(request.body(())?, stream, Some(config)).await
}
