//! A whole gateway process on smol.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use smol::{Async, LocalExecutor};
use ws2http_cli::Setup;
use ws2http_core::{Config, Surface};
use ws2http_driver::{Drain, Hooks, Worker, workers};

use crate::runtime::Smol;
use crate::stream::Stream;

/// Serves until a drain has ended.
///
/// # Errors
///
/// When a listener cannot be bound, a thread cannot be started, or the API is to be called by HTTP/2;
/// the text names the flag.
pub fn serve(setup: Setup) -> io::Result<()> {
    ws2http_driver::serve(setup, start, run)
}

fn start(
    config: Arc<Config>,
    shards: u16,
    seed: [u8; 32],
    hooks: Hooks,
) -> io::Result<(Vec<Worker<Smol>>, Drain<Stream>)> {
    if config.api_http2 {
        return Err(io::Error::other("--api-http2: ws2http-smol calls the API by HTTP/1.1 only; ws2http-tokio can"));
    }
    Ok(workers(config, shards, seed, hooks))
}

/// One worker's thread.
fn run(worker: Worker<Smol>, listeners: Vec<(Surface, TcpListener)>) -> io::Result<()> {
    let executor = Rc::new(LocalExecutor::new());
    let runtime = Smol::new(Rc::clone(&executor), worker.max_idle_api_connections());
    smol::block_on(executor.run(async {
        let listeners = listeners
            .into_iter()
            .map(|(surface, listener)| Ok((surface, Async::new_nonblocking(listener)?)))
            .collect::<io::Result<_>>()?;
        worker.run(runtime, listeners).await;
        Ok(())
    }))
}
