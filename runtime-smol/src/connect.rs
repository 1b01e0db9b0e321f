//! Connections to the API for calls that do not go by libcurl, which opens its own.

use std::net::TcpStream;

use smol::Async;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use ws2http_api::{ApiStream, CONNECT_TIMEOUT, Reachable, Tls, in_time};
use ws2http_core::ApiAddress;

use crate::runtime::Smol;

/// A socket as the libraries for HTTP/2 and TLS want it.
type Socket = Compat<Async<TcpStream>>;

/// A connection to the API.
pub(crate) type ToApi = ApiStream<Socket>;

/// The API server as one worker sees it.
pub(crate) struct Api {
    host: String,
    port: u16,
    tls: Option<Tls>,
    reachable: Reachable,
}

impl Api {
    pub(crate) fn new(address: &ApiAddress, tls: Option<Tls>) -> Api {
        Api { host: address.host().to_owned(), port: address.port(), tls, reachable: Reachable::default() }
    }

    /// Opens a connection; an error says what was tried.
    pub(crate) async fn connect(&self) -> Result<ToApi, String> {
        let socket = self.connect_any().await?;
        let Some(tls) = &self.tls else {
            return Ok(ApiStream::Plain(socket));
        };
        let handshake = in_time::<Smol, _>(tls.connect(socket)).await;
        handshake.unwrap_or_else(|| Err(format!("TLS with {}: no answer in {CONNECT_TIMEOUT:?}", self.host)))
    }

    /// Tries one address after the other.
    async fn connect_any(&self) -> Result<Socket, String> {
        let addresses = smol::net::resolve((self.host.as_str(), self.port)).await;
        let addresses = addresses.map_err(|error| format!("cannot resolve {}: {error}", self.host))?;
        let mut failures = Vec::new();
        for (tried, address) in self.reachable.first(&addresses).into_iter().enumerate() {
            match in_time::<Smol, _>(Async::<TcpStream>::connect(address)).await {
                Some(Ok(socket)) => {
                    self.reachable.connected(tried, address);
                    // Without it, all that is lost is time.
                    let _late = socket.get_ref().set_nodelay(true);
                    return Ok(socket.compat());
                }
                Some(Err(error)) => failures.push(format!("{address}: {error}")),
                None => failures.push(format!("{address}: no answer in {CONNECT_TIMEOUT:?}")),
            }
        }
        Err(if failures.is_empty() { format!("{} has no address", self.host) } else { failures.join("; ") })
    }
}
