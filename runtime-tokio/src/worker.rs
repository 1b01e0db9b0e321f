//! Workers on tokio.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use ws2http_api::{Api, Tls};
use ws2http_core::{Config, Surface};
use ws2http_driver::Hooks;

use crate::net::Net;
use crate::runtime::Tokio;

/// One worker that does not run yet; it can be moved to its thread.
pub struct Worker<N: Net> {
    worker: ws2http_driver::Worker<Tokio<N>>,
    tls: Option<Tls>,
}

impl<N: Net> fmt::Debug for Worker<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.worker.fmt(f)
    }
}

/// Ends the workers of a network in an orderly way.
pub type Drain<N> = ws2http_driver::Drain<<N as Net>::Parcel>;

/// The workers of one gateway: one for each shard, and what drains them.
///
/// # Errors
///
/// If the API is reached by `https` and the system's certificates cannot be read.
pub fn workers<N: Net>(
    config: Arc<Config>,
    shards: u16,
    seed: [u8; 32],
    hooks: Hooks,
) -> io::Result<(Vec<Worker<N>>, Drain<N>)> {
    let tls = Tls::for_api(&config.api, config.api_http2, ring::default_provider())?;
    let (workers, drain) = ws2http_driver::workers(config, shards, seed, hooks);
    Ok((workers.into_iter().map(|worker| Worker { worker, tls: tls.clone() }).collect(), drain))
}

impl<N: Net> Worker<N> {
    /// Serves what comes in by these listeners, until a drain has ended.
    ///
    /// It may have no listener at all: other workers hand over the sockets that belong here.
    ///
    /// # Panics
    ///
    /// Outside of a `LocalRuntime` or `LocalSet` of tokio with time (and, for [`crate::Tcp`], IO).
    pub async fn run(self, listeners: Vec<(Surface, N::Listener)>) {
        let api = Api::new(self.worker.config(), self.tls);
        let tokio = Tokio::new(self.worker.max_idle_api_connections(), api);
        self.worker.run(tokio, listeners).await;
    }
}
