//! A whole gateway process: one thread for each worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use ws2http_cli::{Setup, process_stats};
use ws2http_core::Surface;

use crate::listener::bind;
use crate::net::Tcp;
use crate::worker::{Hooks, Worker, workers};

/// Serves until a drain has ended.
///
/// # Errors
///
/// When a listener cannot be bound, a thread cannot be started, or the certificates for an API by
/// `https` cannot be read; the text names the flag.
pub fn serve(setup: Setup) -> io::Result<()> {
    abort_on_panic();
    let Setup { config, listen, control_listen, shards, seed, reporter, stop } = setup;
    let public = bind_for("--listen", listen, shards)?;
    let control = match control_listen {
        Some(address) => bind_for("--control-listen", address, shards)?,
        None => Vec::new(),
    };
    let public_address = public[0].local_addr()?;
    let control_address = control.first().map(TcpListener::local_addr).transpose()?;

    let log = Arc::clone(&reporter);
    let hooks = Hooks { report: Arc::new(move |report| log.report(report)), observe: process_stats };
    let (workers, drain) = workers::<Tcp>(config, shards, seed, hooks)?;
    let (ended, results) = mpsc::channel();
    let mut public = public.into_iter();
    let mut control = control.into_iter();
    for (index, worker) in workers.into_iter().enumerate() {
        let listeners = public
            .next()
            .map(|listener| (Surface::Public, listener))
            .into_iter()
            .chain(control.next().map(|listener| (Surface::Control, listener)))
            .collect();
        let ended = ended.clone();
        thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            // Only a main thread that has given up does not listen.
            let _given_up = ended.send(run(worker, listeners));
        })?;
    }
    drop(ended);
    stop.on_drain(Box::new(move || drain.start()));
    reporter.listening(public_address, control_address);
    results.into_iter().collect()
}

fn bind_for(flag: &str, address: SocketAddr, shards: u16) -> io::Result<Vec<TcpListener>> {
    bind(address, shards)
        .map_err(|error| io::Error::new(error.kind(), format!("{flag} {address}: cannot listen there: {error}")))
}

/// One worker's thread.
fn run(worker: Worker<Tcp>, listeners: Vec<(Surface, TcpListener)>) -> io::Result<()> {
    let runtime: LocalRuntime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Tasks that always have work must not keep the others' sockets from being looked at.
        .event_interval(16)
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

/// A panic is a fault of this program. Its task alone would vanish, and with it the worker's state
/// would be in doubt: whoever watches the process shall see that it is gone, and start it again.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
