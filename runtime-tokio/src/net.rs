//! The network that a worker runs on: the real one, or a simulated one.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// What a worker needs of a network. [`Tcp`] is the real one.
pub trait Net: 'static {
    /// Where clients, or the API and operators, come in.
    type Listener: 'static;
    /// A connected socket, of a client or to the API.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// A socket on its way from one worker to another.
    type Parcel: 'static;

    /// Waits for the next socket and says who is at its other end.
    ///
    /// # Errors
    ///
    /// When this socket cannot be had; the next call may succeed.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<(Self::Stream, IpAddr)>>;

    /// The addresses of a host, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// When the name cannot be resolved.
    fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;

    /// Opens a connection to the API.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Takes a socket off this worker's reactor.
    ///
    /// # Errors
    ///
    /// When the reactor cannot let go of it; the socket is closed.
    fn pack(stream: Self::Stream) -> io::Result<Self::Parcel>;

    /// Puts a socket on this worker's reactor.
    ///
    /// # Errors
    ///
    /// When the reactor cannot take it; the socket is closed.
    fn unpack(parcel: Self::Parcel) -> io::Result<Self::Stream>;
}

/// TCP of the operating system, by tokio. Small messages leave at once (`TCP_NODELAY`).
#[derive(Debug)]
pub enum Tcp {}

impl Net for Tcp {
    type Listener = TcpListener;
    type Stream = TcpStream;
    type Parcel = std::net::TcpStream;

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A listener on `[::]` tells IPv4 addresses in their IPv6 spelling.
        Ok((stream, peer.ip().to_canonical()))
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn pack(stream: TcpStream) -> io::Result<std::net::TcpStream> {
        stream.into_std()
    }

    fn unpack(parcel: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(parcel)
    }
}
