//! Waiting for what can be observed, so that no script depends on time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::plan::decoded;
use super::wire::Wire;
use crate::api::{Accept, Api};
use crate::gateway::Gateway;
use crate::http::encode;
use crate::metrics::Metrics;
use crate::wait::found_by;

/// How long a gateway may take to notice that idle connections to the API have ended. One that looks only
/// when it uses them again will not, and need not.
const NOTICE: Duration = Duration::from_millis(500);

/// State of a TCP connection in `/proc/net/tcp` whose other side has sent FIN.
const CLOSE_WAIT: &str = "08";

/// How many requests of a client with this method the API has seen.
pub(super) fn seen(api: &Api, client: &str, method: &str) -> usize {
    let of = |request: &crate::api::Request| request.method == method && decoded(request.client()) == client;
    api.seen().iter().filter(|seen| of(&seen.request)).count()
}

/// Waits until the API has seen that many; false if it does not.
pub(super) async fn until_seen(api: &Api, client: &str, method: &str, count: usize) -> bool {
    found_by(PATIENCE, || (seen(api, client, method) >= count).then_some(())).await.is_some()
}

/// Reads the gateway's counters, on one connection for as long as that lasts.
pub(super) struct Scraper {
    to: SocketAddr,
    wire: Option<Wire>,
}

impl Scraper {
    pub(super) fn new(to: SocketAddr) -> Scraper {
        Scraper { to, wire: None }
    }

    /// One scrape; why there is none.
    pub(super) async fn scrape(&mut self) -> Result<Metrics, String> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(self.to).await?,
        };
        wire.write(&encode("GET", "/metrics", &[], None)).await;
        let answer = wire.answer("GET").await?;
        if !answer.closes() {
            self.wire = Some(wire);
        }
        Metrics::parse(&answer.text())
    }

    /// Waits until the gateway has no call under way or waiting, nor, unless the API is away, a DELETE to repeat.
    pub(super) async fn until_quiet(&mut self, away: bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.scrape().await.is_ok_and(|now| is_quiet(&now, away)) {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

fn is_quiet(now: &Metrics, away: bool) -> bool {
    let zero = |name: &str| now.sum(name) == 0.0;
    let ended = now.sum("requests_started") == now.sum("requests_succeeded") + now.sum("requests_failed");
    let calls = zero("ws2http_api_calls_in_flight") && zero("ws2http_api_calls_waiting");
    ended && calls && (away || zero("ws2http_disconnects_pending"))
}

/// The columns of those of the machine's TCP connections over IPv4 that have to do with this port.
fn connections(port: u16) -> Vec<Vec<String>> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the TCP connections of a Linux machine");
    let port = format!(":{port:04X} ");
    let lines = table.lines().filter(|line| line.contains(&port));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn has_port(column: Option<&String>, port: u16) -> bool {
    column.is_some_and(|address| address.ends_with(&format!(":{port:04X}")))
}

/// The gateway's side of a client's connection, so that its end can be waited for.
pub(super) struct Peer {
    descriptor: Option<String>,
    directory: String,
}

impl Peer {
    /// Of the client at this address.
    pub(super) fn of(client: Option<SocketAddr>, gateway: &Gateway) -> Peer {
        let port = client.map(|address| address.port());
        let matches = |columns: &Vec<String>| {
            has_port(columns.get(1), gateway.public.port()) && port.is_some_and(|port| has_port(columns.get(2), port))
        };
        let inode =
            connections(port.unwrap_or_default()).into_iter().find(matches).and_then(|columns| columns.get(9).cloned());
        let descriptor = inode.map(|inode| format!("socket:[{inode}]"));
        Peer { descriptor, directory: format!("/proc/{}/fd", gateway.pid()) }
    }

    /// Waits until the gateway has closed it; false if it does not, or if there never was any.
    pub(super) async fn closed(&self) -> bool {
        let Some(descriptor) = &self.descriptor else { return false };
        let gone = || {
            let mut open = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
            let is_it = |path| std::fs::read_link(path).is_ok_and(|target| target.as_os_str() == descriptor.as_str());
            (!open.any(|entry| is_it(entry.path()))).then_some(())
        };
        found_by(PATIENCE, gone).await.is_some()
    }
}

/// Gives the gateway time to notice which connections the API has ended.
pub(super) async fn ends_noticed(api: &Api) {
    let port = api.address.port();
    let unnoticed = |columns: &Vec<String>| {
        has_port(columns.get(2), port) && columns.get(3).is_some_and(|state| state == CLOSE_WAIT)
    };
    let deadline = Instant::now() + NOTICE;
    while connections(port).iter().any(unnoticed) && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Ends the connections to the API that have nothing to do.
pub(super) async fn close_idle(api: &Api) -> bool {
    api.close_idle();
    let closed = found_by(PATIENCE, || (api.open_connections() == 0).then_some(())).await.is_some();
    ends_noticed(api).await;
    closed
}

/// From now on the API takes connections, but no requests.
pub(super) async fn turn_away(api: &Api, how: Accept) -> bool {
    let closed = close_idle(api).await;
    api.accept(how);
    closed
}
