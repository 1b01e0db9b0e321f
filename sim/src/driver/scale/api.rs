//! The API of the scale run: lets everybody in, echoes, pushes to random clients, reads the gateway's metrics.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::ledger::Ledger;
use super::{Scale, message};
use crate::driver::gateway::PORT;
use crate::driver::http::{Control, Handler, serve};

/// Connections that pushes go by.
const PUSHERS: u32 = 16;

/// One push in so many goes to nobody.
const ASTRAY: u32 = 64;

/// How long an answer takes at most, in milliseconds, so that calls do overlap.
const MAX_DELAY: u64 = 2;

/// What the gateway says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) open: u64,
    pub(crate) sockets: u64,
    pub(crate) in_flight: u64,
    pub(crate) waiting: u64,
    pub(crate) deletes_pending: u64,
}

/// The API and those who push.
pub(crate) struct Api {
    scale: Scale,
    ledger: Rc<RefCell<Ledger>>,
    rng: RefCell<fastrand::Rng>,
    /// Ports of the connections that the gateway has opened.
    pub(crate) peers: RefCell<BTreeSet<SocketAddr>>,
    /// Nobody asks the gateway for anything any more.
    stopped: Cell<bool>,
    /// The gauges as read last, and how often they have been read.
    pub(crate) gauges: Cell<(Gauges, u64)>,
}

impl Api {
    pub(crate) fn new(scale: Scale, ledger: Rc<RefCell<Ledger>>) -> Rc<Api> {
        let rng = RefCell::new(fastrand::Rng::with_seed(scale.seed ^ 1));
        Rc::new(Api {
            scale,
            ledger,
            rng,
            gauges: Cell::default(),
            peers: RefCell::default(),
            stopped: Cell::new(false),
        })
    }

    /// Closes the control connections.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
    }

    /// The host's software.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        for pusher in 0..PUSHERS.min(self.scale.pushes) {
            spawn_local(Rc::clone(&self).told(Rc::clone(&self).push(pusher)));
        }
        spawn_local(Rc::clone(&self).told(Rc::clone(&self).scrape()));
        serve(self).await
    }

    /// Runs a task that must not fail.
    async fn told(self: Rc<Self>, task: impl Future<Output = io::Result<()>>) {
        if let Err(error) = task.await {
            self.ledger.borrow_mut().failed(0, format_args!("a control connection: {error}"));
        }
    }

    async fn push(self: Rc<Self>, pusher: u32) -> io::Result<()> {
        let pushers = PUSHERS.min(self.scale.pushes);
        let period = Duration::from_secs(1) * pushers / self.scale.pushes;
        sleep(period * pusher / pushers).await;
        let mut turns = interval(period.max(Duration::from_millis(1)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut control = Control::open("gateway", PORT).await?;
        // While there are few clients to push to: without any request, the connection would be closed.
        control.send(request(Method::GET, "/-/healthy", String::new())).await?;
        while !self.stopped.get() {
            turns.tick().await;
            self.push_once(&mut control).await?;
        }
        Ok(())
    }

    async fn push_once(&self, control: &mut Control) -> io::Result<()> {
        let (id, astray) = {
            let mut rng = self.rng.borrow_mut();
            (rng.u32(0..self.scale.connections), rng.u32(0..ASTRAY) == 0)
        };
        if astray {
            let response = control.send(push(&format!("nobody-{id:x}"), String::new())).await?;
            self.ledger.borrow_mut().push_astray(id, response.status().as_u16());
            return Ok(());
        }
        let Some(number) = self.ledger.borrow_mut().push(id) else { return Ok(()) };
        let response = control.send(push(&format!("{id:x}"), message::write(message::PUSH, id, number))).await?;
        self.ledger.borrow_mut().push_answered(id, response.status().as_u16());
        Ok(())
    }

    async fn scrape(self: Rc<Self>) -> io::Result<()> {
        let mut control = Control::open("gateway", PORT).await?;
        while !self.stopped.get() {
            sleep(Duration::from_millis(500)).await;
            let page = control.send(request(Method::GET, "/metrics", String::new())).await?;
            let (_, count) = self.gauges.get();
            self.gauges.set((read_gauges(&String::from_utf8_lossy(page.body())), count + 1));
        }
        Ok(())
    }
}

impl Handler for Api {
    async fn answer(self: Rc<Self>, peer: SocketAddr, request: Request<Bytes>) -> io::Result<Response<Full<Bytes>>> {
        self.peers.borrow_mut().insert(peer);
        let Some((id, connection)) = who(&request) else {
            return Err(io::Error::other("a request that no client is behind"));
        };
        match *request.method() {
            Method::GET => self.ledger.borrow_mut().asked(id, connection),
            Method::DELETE => {
                let code = header(&request, "x-close-code").and_then(|code| code.parse().ok()).unwrap_or(0);
                self.ledger.borrow_mut().deleted(id, connection, code);
            }
            _ => {
                let says = message::read(request.body());
                let says = says.filter(|(kind, ..)| *kind == message::MESSAGE).map(|(_, id, number)| (id, number));
                self.ledger.borrow_mut().told(id, connection, says);
            }
        }
        let delay = self.rng.borrow_mut().u64(0..=MAX_DELAY);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        let body = match *request.method() {
            Method::GET => Bytes::from_static(b"ok"),
            Method::DELETE => Bytes::new(),
            _ => {
                self.ledger.borrow_mut().answered(id);
                request.into_body()
            }
        };
        Ok(Response::new(Full::new(body)))
    }
}

fn request(method: Method, target: &str, body: String) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(target).header(http::header::HOST, "gateway");
    request.body(body.into()).expect("a plain request")
}

fn push(id: &str, body: String) -> Request<Bytes> {
    request(Method::POST, &format!("/{id}"), body)
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The client that a request of the gateway is about, and a digest of its connection's id.
fn who(request: &Request<Bytes>) -> Option<(u32, u32)> {
    let id = u32::from_str_radix(request.uri().path().strip_prefix('/')?, 16).ok()?;
    let connection = header(request, "x-connection-id")?;
    let digest = connection.bytes().fold(0_u32, |digest, byte| digest.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    Some((id, digest))
}

fn read_gauges(page: &str) -> Gauges {
    let mut gauges = Gauges::default();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let gauge = match name {
            "active_connections" => &mut gauges.open,
            "ws2http_sockets" => &mut gauges.sockets,
            "ws2http_api_calls_in_flight" => &mut gauges.in_flight,
            "ws2http_api_calls_waiting" => &mut gauges.waiting,
            "ws2http_disconnects_pending" => &mut gauges.deletes_pending,
            _ => continue,
        };
        // What is no number fails the check at the end.
        *gauge = value.parse().unwrap_or(u64::MAX);
    }
    gauges
}
