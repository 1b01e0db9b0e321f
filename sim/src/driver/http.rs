//! HTTP over simulated streams, by hyper: the API's side of the gateway, and control requests.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;
use turmoil::net::{TcpListener, TcpStream};

/// Where APIs listen.
pub(crate) const API_PORT: u16 = 8000;

/// Answers requests, each with its whole body. An error of the handler closes the connection without an answer.
pub(crate) trait Handler: 'static {
    /// Answers one request, which came on the connection from `peer`.
    fn answer(
        self: Rc<Self>,
        peer: SocketAddr,
        request: Request<Bytes>,
    ) -> impl Future<Output = io::Result<Response<Full<Bytes>>>>;
}

/// The API host's software.
pub(crate) async fn serve<H: Handler>(handler: Rc<H>) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", API_PORT)).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let handler = Rc::clone(&handler);
        let service = service_fn(move |request: Request<Incoming>| {
            let handler = Rc::clone(&handler);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                handler.answer(peer, Request::from_parts(head, body)).await
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .max_buf_size(8 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        spawn_local(async move {
            // The gateway judges broken connections, not the API.
            let _broken = connection.await;
        });
    }
}

/// A kept-alive connection for control requests to a gateway.
pub(crate) struct Control(SendRequest<Full<Bytes>>);

impl Control {
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Control> {
        let stream = TcpStream::connect((host, port)).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        spawn_local(async move {
            // Told to whoever waits for the answer.
            let _told = connection.await;
        });
        Ok(Control(sender))
    }

    /// Sends a request and collects its answer.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> io::Result<Response<Bytes>> {
        self.0.ready().await.map_err(io::Error::other)?;
        let response = self.0.send_request(request.map(Full::new)).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}
