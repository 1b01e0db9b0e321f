//! Listening sockets shared by threads, and waiting for events.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Poll};
use socket2::{Domain, Protocol, Socket, Type};

/// Runs `serve` on `threads` threads, each with its own listener on the one address (`SO_REUSEPORT`).
///
/// Answers the address; a port of 0 is replaced by the one found. A thread that fails ends the process.
pub(crate) fn on_threads(
    address: SocketAddr,
    threads: usize,
    name: &'static str,
    serve: impl Fn(TcpListener) -> Result<()> + Clone + Send + 'static,
) -> Result<SocketAddr> {
    let mut bound = address;
    for _ in 0..threads {
        let listener = listen(bound).with_context(|| format!("cannot listen on {bound}"))?;
        bound = listener.local_addr()?;
        let serve = serve.clone();
        let run = move || {
            if let Err(error) = serve(TcpListener::from_std(listener)) {
                eprintln!("load {name}: {error:#}");
                std::process::exit(1);
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(run)?;
    }
    Ok(bound)
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// The next connection that waits to be accepted, if there is one.
pub(crate) fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(Some(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error).context("it cannot accept (descriptors used up?)"),
        }
    }
}

/// Waits for events, `limit` at most. A signal ends the wait early, without events.
pub(crate) fn wait(poll: &mut Poll, events: &mut Events, limit: Option<Duration>) -> Result<()> {
    match poll.poll(events, limit) {
        Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
        other => other?,
    }
    Ok(())
}
