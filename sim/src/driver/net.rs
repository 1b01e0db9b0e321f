//! The simulated network that the shipped driver runs on here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use turmoil::Sim;
use turmoil::net::{TcpListener, TcpStream};
use ws2http_tokio::Net;

/// TCP of turmoil. All workers of a gateway accept from one listener, as turmoil has one for each port.
pub(crate) enum Turmoil {}

impl Net for Turmoil {
    type Listener = Rc<TcpListener>;
    type Stream = TcpStream;
    /// The workers share a host, so a socket moves as it is.
    type Parcel = TcpStream;

    async fn accept(listener: &Rc<TcpListener>) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer.ip()))
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    fn pack(stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }

    fn unpack(parcel: TcpStream) -> io::Result<TcpStream> {
        Ok(parcel)
    }
}

/// The longest way between two hosts, unless a link is set otherwise.
pub(crate) const MAX_LATENCY: Duration = Duration::from_millis(20);

/// An empty world. `capacity` is how many connections may wait to be accepted, and how many writes for one socket to
/// be read.
pub(crate) fn network<'a>(seed: u64, capacity: usize) -> Sim<'a> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        // Worlds end when they have seen enough.
        .simulation_duration(Duration::MAX)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(MAX_LATENCY)
        .ephemeral_ports(1024..=65535)
        .tcp_capacity(capacity)
        .build()
}
