//! The threads that serve the demo: a fixed number of workers over one listener.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::demo::site::Site;

/// Requests that are handled at once. A push waits for the gateway, so one is not enough.
const WORKERS: usize = 8;
/// How soon the workers notice that they are to stop.
const STOP_CHECK: Duration = Duration::from_millis(500);
/// How long to wait before listening again after accepting failed (usually: out of descriptors).
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Stops the workers when dropped.
#[derive(Debug)]
pub(super) struct Server {
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Serves `site` to whoever connects to `listener`, in the background.
    ///
    /// # Errors
    /// When the listener cannot be set up or the thread not be started.
    pub(super) fn start(listener: TcpListener, site: Arc<Site>) -> io::Result<Server> {
        // Accepted sockets inherit it; else answers in several writes wait for delayed acknowledgements.
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::Builder::new().name("demo".into()).spawn(move || serve(&listener, &site, &stopped))?;
        Ok(Server { stop })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Serves until told to stop. tiny_http accepts nothing more after one failed accept, hence the loop.
fn serve(listener: &TcpListener, site: &Site, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.try_clone().map_err(Into::into).and_then(|l| tiny_http::Server::from_listener(l, None)) {
            Ok(server) => {
                let failed = AtomicBool::new(false);
                thread::scope(|scope| {
                    for _ in 0..WORKERS {
                        scope.spawn(|| work(&server, site, stop, &failed));
                    }
                });
            }
            Err(error) => tracing::warn!(error, "the demo API cannot listen"),
        }
        if !stop.load(Ordering::Relaxed) {
            thread::sleep(RESTART_PAUSE);
        }
    }
}

/// Handles requests until told to stop, or until accepting has failed.
fn work(server: &tiny_http::Server, site: &Site, stop: &AtomicBool, failed: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
        match server.recv_timeout(STOP_CHECK) {
            Ok(Some(request)) => site.handle(request),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "the demo API cannot accept connections");
                failed.store(true, Ordering::Relaxed);
            }
        }
    }
}
