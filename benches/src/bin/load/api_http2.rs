//! The lean API server over HTTP/2, for those who begin with its preface.
//!
//! It is not as lean as over HTTP/1.1, which is of no account: what it takes is not the gateway's.

use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use crate::api::{Counters, answer};
use crate::http::Request;

/// Calls that one connection may have under way.
const MOST_STREAMS: u32 = 1000;

/// Starts a thread that serves what it is sent.
pub(crate) fn start(counters: Arc<Counters>) -> Result<UnboundedSender<TcpStream>> {
    let (sender, connections) = unbounded_channel();
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let serve = move || LocalSet::new().block_on(&runtime, accept(connections, &counters));
    std::thread::Builder::new().name("api-http2".into()).spawn(serve)?;
    Ok(sender)
}

async fn accept(mut connections: UnboundedReceiver<TcpStream>, counters: &Arc<Counters>) {
    while let Some(stream) = connections.recv().await {
        let counters = Rc::new(Connection::new(Arc::clone(counters)));
        spawn_local(async move {
            if let Err(error) = serve(stream, &counters).await {
                eprintln!("load api: a connection by HTTP/2: {error:#}");
            }
        });
    }
}

/// A connection that counts as open while this lives.
struct Connection(Arc<Counters>);

impl Connection {
    fn new(counters: Arc<Counters>) -> Self {
        counters.opened();
        Connection(counters)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.closed();
    }
}

async fn serve(stream: TcpStream, counters: &Rc<Connection>) -> Result<()> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut server = h2::server::Builder::new();
    let mut connection = server.max_concurrent_streams(MOST_STREAMS).handshake(stream).await.context("handshake")?;
    while let Some(request) = connection.accept().await {
        // The other side may go without a word: its end is no fault.
        let Ok((request, respond)) = request else { return Ok(()) };
        let counters = Rc::clone(counters);
        spawn_local(async move {
            // A call that is given up ends like this, and is counted by whoever gave it up.
            let _ = reply(request, respond, &counters.0).await;
        });
    }
    Ok(())
}

async fn reply(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    counters: &Counters,
) -> Result<()> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while !stream.is_end_stream()
        && let Some(data) = stream.data().await
    {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    let request = Request { method: head.method.as_str(), target: head.uri.path(), body: &body, length: 0 };
    let (status, body) = answer(&request, counters)?;
    let code = status.split(' ').next().unwrap_or_default();
    let length = body.len();
    let response = http::Response::builder().status(code).header("content-length", length).body(())?;
    let body = Bytes::from(body.into_owned());
    respond.send_response(response, length == 0)?.send_data(body, true)?;
    Ok(())
}
