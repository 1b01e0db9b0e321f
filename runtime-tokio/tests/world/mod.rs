//! A gateway of three workers on one thread, with an API and clients that tests play by hand.
//! Only the first worker listens, so most clients are handed over to another one.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;
use tokio::task::{JoinHandle, spawn_local};
use ws2http_core::{ApiAddress, Config, ProcessStats, Surface};
use ws2http_tokio::{Drain, Hooks, Tcp, workers};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test; nothing in it may hang.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = LocalRuntime::new().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test ends") });
}

/// A running gateway.
pub(crate) struct World {
    pub(crate) api: TcpListener,
    pub(crate) gateway: SocketAddr,
    pub(crate) drain: Drain<Tcp>,
    pub(crate) workers: Vec<JoinHandle<()>>,
}

impl World {
    pub(crate) async fn start(settings: impl FnOnce(&mut Config)) -> World {
        let api = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", api.local_addr().expect("it is bound"));
        let mut config = Config::new(ApiAddress::parse(&url).expect("an address"));
        settings(&mut config);
        let hooks = Hooks { report: Arc::new(|_| {}), observe: ProcessStats::default };
        let (workers, drain) = workers::<Tcp>(Arc::new(config), 3, [7; 32], hooks).expect("no TLS is needed");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let gateway = listener.local_addr().expect("it is bound");
        let mut listener = Some((Surface::Public, listener));
        let run = |worker: ws2http_tokio::Worker<Tcp>| spawn_local(worker.run(listener.take().into_iter().collect()));
        World { api, gateway, drain, workers: workers.into_iter().map(run).collect() }
    }

    /// The next connection that the gateway opens.
    pub(crate) async fn api_connection(&self) -> ApiConnection {
        ApiConnection(self.api.accept().await.expect("a connection").0)
    }

    /// Connects a client whose authorisation the test answers on its own.
    pub(crate) async fn ask(&self, id: &str) -> Client {
        let mut stream = TcpStream::connect(self.gateway).await.expect("the gateway listens");
        let handshake = format!(
            "GET /{id} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(handshake.as_bytes()).await.expect("the gateway reads");
        Client(stream)
    }

    /// Connects a client; the connection to the API that authorised it is kept alive.
    pub(crate) async fn connect(&self, id: &str) -> (Client, ApiConnection) {
        let mut client = self.ask(id).await;
        let mut api = self.api_connection().await;
        assert_eq!(api.request().await, (format!("GET /{id}"), String::new()));
        api.answer("ok").await;
        client.accepted().await;
        (client, api)
    }
}

/// The API's end of a connection.
pub(crate) struct ApiConnection(TcpStream);

impl ApiConnection {
    /// The next request: method and target, and the body.
    pub(crate) async fn request(&mut self) -> (String, String) {
        let head = read_head(&mut self.0).await;
        let mut words = head.split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
        self.0.read_exact(&mut body).await.expect("a body");
        (format!("{method} {target}"), String::from_utf8(body).expect("text"))
    }

    pub(crate) async fn answer(&mut self, body: &str) {
        self.answer_with("", body).await;
    }

    /// Answers with more headers, each ended by CRLF.
    pub(crate) async fn answer_with(&mut self, headers: &str, body: &str) {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(answer.as_bytes()).await.expect("the gateway reads");
    }

    /// Waits until the gateway closes the connection, without a request.
    pub(crate) async fn closed(&mut self) {
        // A reset is an end as well.
        assert_eq!(self.0.read(&mut [0; 1]).await.unwrap_or(0), 0, "a request instead of the end");
    }
}

/// A client's end.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn accepted(&mut self) {
        let head = read_head(&mut self.0).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    /// Sends a short text, masked with zeros.
    pub(crate) async fn send(&mut self, text: &str) {
        let length = u8::try_from(text.len()).expect("a short text");
        assert!(length < 126);
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).await.expect("the gateway reads");
    }

    /// The next frame: its first byte and its payload.
    pub(crate) async fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).await.expect("a frame");
        assert!(head[1] < 126, "a short frame");
        let mut payload = vec![0; head[1].into()];
        self.0.read_exact(&mut payload).await.expect("its payload");
        (head[0], payload)
    }

    pub(crate) async fn receive_text(&mut self, text: &str) {
        let (first, payload) = self.receive().await;
        assert_eq!((first, payload.as_slice()), (0x81, text.as_bytes()));
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}
