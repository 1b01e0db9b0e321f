//! A scriptable API server: it answers as told, misbehaves as told, records every request and
//! holds the gateway to the laws.

mod answer;
mod http2;
mod law;
mod request;
mod serve;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

pub use answer::{Answer, Framing, Then};
pub use http2::Http2;
pub use law::{Law, Licence, Outcome};
pub use request::Request;

use crate::wait::{found, until};

type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request.
    pub request: Arc<Request>,
    /// When it had arrived, with its body.
    pub began: Instant,
    /// When and how it ended; `None` while under way.
    pub ended: Option<(Instant, Outcome)>,
}

/// What is done with new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// They are served.
    Serve,
    /// They are closed before anything is read.
    Close,
    /// They are reset before anything is read.
    Reset,
}

pub(crate) struct Shared {
    script: Mutex<Script>,
    accept: Mutex<Accept>,
    http2: Mutex<Http2>,
    record: Mutex<Record>,
    close_idle: watch::Sender<u64>,
    open: Mutex<Vec<AbortHandle>>,
}

struct Record {
    requests: u64,
    seen: Option<Vec<Seen>>,
    law: Law,
    faults: Vec<String>,
    connections: usize,
}

/// A request under way. When its connection is cut, dropping this records it.
pub(crate) struct Pass {
    pub(crate) request: Arc<Request>,
    shared: Arc<Shared>,
    ended: bool,
}

impl Shared {
    pub(crate) fn begin(self: &Arc<Self>, mut request: Request) -> Pass {
        let mut record = self.record.lock().unwrap();
        request.order = record.requests;
        record.requests += 1;
        let request = Arc::new(request);
        let began = Instant::now();
        record.law.begin(&request, began);
        if let Some(seen) = &mut record.seen {
            seen.push(Seen { request: request.clone(), began, ended: None });
        }
        Pass { request, shared: self.clone(), ended: false }
    }

    pub(crate) fn decide(&self, request: &Request) -> Answer {
        let script = self.script.lock().unwrap().clone();
        script(request)
    }

    /// Whether the next request over HTTP/2 is to be refused.
    fn refuses(&self) -> bool {
        let mut http2 = self.http2.lock().unwrap();
        let refuses = http2.refuse > 0;
        http2.refuse -= u32::from(refuses);
        refuses
    }

    pub(crate) fn fault(&self, text: String) {
        self.record.lock().unwrap().faults.push(text);
    }
}

impl Pass {
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.record(outcome);
    }

    fn record(&mut self, outcome: Outcome) {
        self.ended = true;
        let now = Instant::now();
        let mut record = self.shared.record.lock().unwrap();
        record.law.end(&self.request, outcome, now);
        if let Some(seen) = &mut record.seen {
            seen[self.request.order as usize].ended = Some((now, outcome));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.ended {
            self.record(Outcome::Broken);
        }
    }
}

/// The API server.
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    /// Holds the port also while the server is stopped; connects to it are then refused.
    _anchor: TcpSocket,
}

/// Lets everybody in, sends every message back as it came, takes every DELETE.
pub fn echo(request: &Request) -> Answer {
    let binary = request.header("content-type") == Some("application/octet-stream");
    match request.method.as_str() {
        "POST" if binary => Answer::binary(&request.body),
        "POST" => Answer::new(200, &request.body),
        _ => Answer::ok(),
    }
}

/// Lets everybody in, answers messages with nothing, takes every DELETE.
pub fn silent(request: &Request) -> Answer {
    if request.method == "POST" { Answer::empty() } else { Answer::ok() }
}

impl Api {
    /// An API on a free port that does not listen yet.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn stopped(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Api {
        let anchor = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let address = anchor.local_addr().expect("the API's address");
        let record =
            Record { requests: 0, seen: Some(Vec::new()), law: Law::default(), faults: Vec::new(), connections: 0 };
        let shared = Shared {
            script: Mutex::new(Arc::new(script)),
            accept: Mutex::new(Accept::Serve),
            http2: Mutex::default(),
            record: Mutex::new(record),
            close_idle: watch::channel(0).0,
            open: Mutex::default(),
        };
        Api { address, shared: Arc::new(shared), accepting: None, _anchor: anchor }
    }

    /// An API that listens on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Api {
        let mut api = Api::stopped(script);
        api.resume();
        api
    }

    /// Listens (again), on the same port as ever.
    ///
    /// # Panics
    /// When it listens already.
    pub fn resume(&mut self) {
        assert!(self.accepting.is_none(), "the API listens already");
        let listener = bound(self.address).listen(4096).expect("listen for the gateway");
        self.accepting = Some(tokio::spawn(accept(listener, self.shared.clone())));
    }

    /// Cuts all connections and refuses new ones until [`Api::resume`].
    ///
    /// # Panics
    /// When it is stopped already.
    pub async fn stop(&mut self) {
        let accepting = self.accepting.take().expect("the API is stopped already");
        accepting.abort();
        // It ends by being aborted, which is an error of no interest; then its listener is closed.
        let _ = accepting.await;
        self.cut();
        until("all connections to the API to be cut", || self.open_connections() == 0).await;
    }

    /// Cuts all connections, also those with a request under way.
    pub fn cut(&self) {
        self.shared.open.lock().unwrap().iter().for_each(AbortHandle::abort);
    }

    /// Closes the connections that have no request under way.
    pub fn close_idle(&self) {
        self.shared.close_idle.send_modify(|times| *times += 1);
    }

    /// From now on does this with new connections.
    pub fn accept(&self, accept: Accept) {
        *self.shared.accept.lock().unwrap() = accept;
    }

    /// From now on serves new connections over HTTP/2 like this, and refuses requests.
    pub fn http2(&self, http2: Http2) {
        *self.shared.http2.lock().unwrap() = http2;
    }

    /// From now on answers by this script.
    pub fn script(&self, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Judges by the law of other flags than the default ones.
    pub fn licence(&self, licence: Licence) {
        self.shared.record.lock().unwrap().law.licence = licence;
    }

    /// Forgets requests once judged: for runs too long to remember them all.
    pub fn forget(&self) {
        self.shared.record.lock().unwrap().seen = None;
    }

    /// Looks at the law.
    pub fn law<T>(&self, look: impl FnOnce(&Law) -> T) -> T {
        look(&self.shared.record.lock().unwrap().law)
    }

    /// Everything wrong about the gateway's requests so far.
    pub fn violations(&self) -> Vec<String> {
        let record = self.shared.record.lock().unwrap();
        [record.law.violations(), &record.faults].concat()
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        self.shared.record.lock().unwrap().connections
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        let mut open = self.shared.open.lock().unwrap();
        open.retain(|task| !task.is_finished());
        open.len()
    }

    /// Every request so far.
    ///
    /// # Panics
    /// After [`Api::forget`].
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.record.lock().unwrap().seen.clone().expect("requests are remembered")
    }

    /// Every request so far about a client, named as on the wire.
    pub fn seen_of(&self, client: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.request.client() == client).collect()
    }

    /// The bodies of a client's messages so far, in order of arrival.
    pub fn messages_of(&self, client: &str) -> Vec<String> {
        let messages = self.seen_of(client).into_iter().filter(|seen| seen.request.method == "POST");
        messages.map(|seen| seen.request.text()).collect()
    }

    /// Waits for a client's request number `index` (from 0) with this method.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn request(&self, method: &str, client: &str, index: usize) -> Arc<Request> {
        found(&format!("{method} number {index} of {client}"), || {
            let seen = self.seen_of(client).into_iter();
            seen.filter(|seen| seen.request.method == method).nth(index).map(|seen| seen.request)
        })
        .await
    }

    /// Waits for a client's first DELETE; its `X-Close-Code` and body.
    ///
    /// # Panics
    /// When it does not come or has no code.
    pub async fn disconnect(&self, client: &str) -> (u16, String) {
        let request = self.request("DELETE", client, 0).await;
        let code = request.header("x-close-code").and_then(|code| code.parse().ok());
        (code.unwrap_or_else(|| panic!("no X-Close-Code: {request:?}")), request.text())
    }

    /// Waits until every connect has had its DELETE and nothing is under way, then checks the laws.
    ///
    /// # Panics
    /// When that does not come about, or a law was broken.
    pub async fn settled(&self) {
        let mut unsettled = Vec::new();
        let settled = crate::wait::found_by(crate::wait::DEADLINE, || {
            unsettled = self.law(Law::unsettled);
            unsettled.is_empty().then_some(())
        });
        let settled = settled.await.is_some();
        assert!(settled, "the gateway still owes the API: {unsettled:#?}");
        self.lawful();
    }

    /// Checks the laws so far.
    ///
    /// # Panics
    /// When one was broken.
    pub fn lawful(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "the gateway broke the law: {violations:#?}");
    }

    /// Waits until so many requests have come in all.
    ///
    /// # Panics
    /// When they do not.
    pub async fn requests(&self, count: usize) {
        until(&format!("{count} requests to the API"), || self.seen().len() >= count).await;
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        self.cut();
        if std::thread::panicking() {
            self.print();
        }
    }
}

impl Api {
    /// Shows the last requests beside a failure.
    fn print(&self) {
        let record = self.shared.record.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(seen) = &record.seen else { return };
        eprintln!("--- what the API saw, the last of {} requests ---", seen.len());
        for Seen { request, ended, .. } in &seen[seen.len().saturating_sub(20)..] {
            let Request { order, connection, method, target, headers, body, .. } = &**request;
            let body = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let ended = ended.map(|(_, outcome)| outcome);
            eprintln!("#{order} by {connection}: {method} {target} {headers:?} {body:?}: {ended:?}");
        }
    }
}

/// Shares its port with the others of this API, and with nobody else.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("socket");
    socket.set_reuseaddr(true).expect("reuse the address");
    socket.set_reuseport(true).expect("share the port");
    socket.bind(address).expect("a port for the API");
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Out of descriptors is the one error to expect here; the next accept waits for one.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let policy = *shared.accept.lock().unwrap();
        match policy {
            Accept::Serve => {}
            Accept::Close => continue,
            Accept::Reset => {
                crate::raw::reset(stream);
                continue;
            }
        }
        stream.set_nodelay(true).expect("nodelay");
        let number = {
            let mut record = shared.record.lock().unwrap();
            record.connections += 1;
            record.connections - 1
        };
        let server = serve::Server::new(stream, number, shared.clone());
        let task = tokio::spawn(server.run(shared.close_idle.subscribe()));
        let mut open = shared.open.lock().unwrap();
        if open.len() == open.capacity() {
            open.retain(|task| !task.is_finished());
        }
        open.push(task.abort_handle());
    }
}
