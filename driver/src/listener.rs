//! Listening sockets: one for each worker, all on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address, between which the system spreads what comes in.
/// Port 0 picks a free one, the same for all.
///
/// # Errors
///
/// When the address cannot be bound: it is in use, not of this machine, or not allowed.
pub(crate) fn bind(address: SocketAddr, count: u16) -> io::Result<Vec<TcpListener>> {
    if count <= 1 {
        return Ok(vec![bind_one(address, false)?]);
    }
    if address.port() != 0 {
        // Sockets that share a port would also share it with another gateway of the same user.
        drop(bind_one(address, false)?);
    }
    let first = bind_one(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind_one(address, true)?);
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn all_workers_listen_on_one_port() {
        let listeners = bind(ANY, 3).expect("a free port");
        let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[test]
    fn a_second_gateway_does_not_share_the_port() {
        let first = bind(ANY, 2).expect("a free port");
        let address = first[0].local_addr().unwrap();
        for count in [1, 2] {
            let error = bind(address, count).expect_err("the port is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(first);
        bind(address, 2).expect("the port is free again");
    }
}
