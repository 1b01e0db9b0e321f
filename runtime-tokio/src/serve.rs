//! A whole gateway process on tokio.

use std::io;
use std::net::TcpListener;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use ws2http_cli::Setup;
use ws2http_core::Surface;

use crate::net::Tcp;
use crate::worker::{Worker, workers};

/// Serves until a drain has ended.
///
/// # Errors
///
/// When a listener cannot be bound, a thread cannot be started, or the certificates for an API by
/// `https` cannot be read; the text names the flag.
pub fn serve(setup: Setup) -> io::Result<()> {
    ws2http_driver::serve(setup, workers::<Tcp>, run)
}

/// One worker's thread.
fn run(worker: Worker<Tcp>, listeners: Vec<(Surface, TcpListener)>) -> io::Result<()> {
    let runtime: LocalRuntime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // One task looks at many sockets: news is to be had often enough.
        .event_interval(4)
        // They resolve names, rarely.
        .max_blocking_threads(4)
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listeners = listeners
            .into_iter()
            .map(|(surface, listener)| Ok((surface, tokio::net::TcpListener::from_std(listener)?)))
            .collect::<io::Result<_>>()?;
        worker.run(listeners).await;
        Ok(())
    })
}
