//! A whole gateway process on smol.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use smol::{Async, LocalExecutor};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use ws2http_api::{Api, Tls};
use ws2http_cli::Setup;
use ws2http_core::{Config, Surface};
use ws2http_driver::{Drain, Hooks, Worker, workers};

use crate::runtime::Smol;
use crate::stream::Stream;

/// Serves until a drain has ended.
///
/// # Errors
///
/// When a listener cannot be bound, a thread cannot be started, or the certificates for an API by
/// `https` cannot be read; the text names the flag.
pub fn serve(setup: Setup) -> io::Result<()> {
    ws2http_driver::serve(setup, start, run)
}

/// A worker, and what it calls an API by `https` with. By HTTP/1.1 libcurl sees to that; the
/// certificates are then looked for only to say at the start that there are none.
type Ready = (Worker<Smol>, Option<Tls>);

fn start(config: Arc<Config>, shards: u16, seed: [u8; 32], hooks: Hooks) -> io::Result<(Vec<Ready>, Drain<Stream>)> {
    let tls = Tls::for_api(&config.api, config.api_http2, aws_lc_rs::default_provider())?;
    let (workers, drain) = workers(config, shards, seed, hooks);
    Ok((workers.into_iter().map(|worker| (worker, tls.clone())).collect(), drain))
}

/// One worker's thread.
fn run((worker, tls): Ready, listeners: Vec<(Surface, TcpListener)>) -> io::Result<()> {
    let executor = Rc::new(LocalExecutor::new());
    let api = Api::new(worker.config(), tls);
    let runtime = Smol::new(Rc::clone(&executor), worker.max_idle_api_connections(), api);
    smol::block_on(executor.run(async {
        let listeners = listeners
            .into_iter()
            .map(|(surface, listener)| Ok((surface, Async::new_nonblocking(listener)?)))
            .collect::<io::Result<_>>()?;
        worker.run(runtime, listeners).await;
        Ok(())
    }))
}
