//! A whole gateway process on tokio.

use std::future::Future;
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
    block_on(async {
        let listeners = listeners
            .into_iter()
            .map(|(surface, listener)| Ok((surface, tokio::net::TcpListener::from_std(listener)?)))
            .collect::<io::Result<_>>()?;
        worker.run(listeners).await;
        Ok(())
    })
}

fn block_on(worker: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime: LocalRuntime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // One task looks at many sockets: news is to be had often enough.
        .event_interval(4)
        // They resolve names, rarely.
        .max_blocking_threads(4)
        .build_local(LocalOptions::default())?;
    let ended = runtime.block_on(worker);
    // A name that is being resolved does not hold up the end.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_that_is_being_resolved_does_not_hold_up_the_end() {
        let (began, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let (told, hears) = mpsc::channel();
        let worker = async {
            tokio::task::spawn_blocking(move || {
                began.send(()).expect("the worker waits");
                told.send(ends.recv_timeout(Duration::from_secs(2)).is_ok())
            });
            begins.recv().map_err(io::Error::other)
        };
        block_on(worker).expect("it ends in order");
        // If that took long, nobody waits any more.
        let _late = end.send(());
        assert!(hears.recv().expect("it ends"), "the end waited");
    }
}
