//! `--demo`: a small API server and a page that shows the gateway at work.
//!
//! The API server is an ordinary HTTP server on threads of its own, as a user's PHP or Python program
//! would be; it knows of the gateway only what the contract says. It serves:
//!
//! | request | by | what |
//! | --- | --- | --- |
//! | `GET`, `POST`, `DELETE /api/<ClientId>` | the gateway | connect, message, close |
//! | `GET /`, `/page.css`, `/page.js` | a browser | the page |
//! | `GET /state?after=N` | the page | clients, counts, and the events after number N |
//! | `POST /push/<ClientId>` | the page | makes the API push the body |
//! | `POST /kick/<ClientId>?code=&reason=` | the page | makes the API kick |
//!
//! Everything that it keeps is bounded. It holds one thread for every open connection, so the gateway's
//! `max_api_connections` should be at most [`API_CONNECTIONS`] in a demo.

mod api;
mod gateway;
mod server;
mod site;
mod state;
#[cfg(test)]
mod tests;
mod web;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use server::Server;
use site::Site;

/// How many connections to the demo API a gateway should open at most.
pub const API_CONNECTIONS: usize = 64;

/// A running demo API server. Dropping it stops it; requests under way are still answered.
#[derive(Debug)]
pub struct Demo {
    address: SocketAddr,
    site: Arc<Site>,
    _server: Server,
}

/// Starts the demo API server and its page at `listen`, or, if that port is taken, at a free one.
///
/// `control_token` is what the gateway wants for push and kick. Until [`Demo::gateway_listening`]
/// every request is answered 503.
///
/// # Errors
/// When no listener can be bound on the address.
pub fn start(listen: SocketAddr, control_token: Option<String>) -> io::Result<Demo> {
    let listener = match TcpListener::bind(listen) {
        Err(taken) if taken.kind() == io::ErrorKind::AddrInUse => TcpListener::bind((listen.ip(), 0))?,
        bound => bound?,
    };
    let address = listener.local_addr()?;
    let site = Arc::new(Site::new(control_token));
    let server = Server::start(listener, Arc::clone(&site))?;
    Ok(Demo { address, site, _server: server })
}

impl Demo {
    /// What the gateway's API address has to be, for example `http://127.0.0.1:8000/api/`.
    pub fn api_url(&self) -> String {
        format!("{}api/", self.page_url())
    }

    /// Where a browser finds the page, for example `http://127.0.0.1:8000/`.
    pub fn page_url(&self) -> String {
        format!("http://{}/", reachable(self.address))
    }

    /// Tells where the gateway listens: `public` is what browsers connect to, `control` takes push and
    /// kick if there is a control listener. From now on requests are answered.
    pub fn gateway_listening(&self, public: SocketAddr, control: Option<SocketAddr>) {
        self.site.gateway_listening(public.port(), reachable(control.unwrap_or(public)));
    }
}

/// An address to connect to, from one that was bound: "any address" becomes loopback.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
