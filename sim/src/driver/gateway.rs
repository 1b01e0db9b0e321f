//! A gateway as a simulated host: the shipped workers, all on the host's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_local;
use turmoil::net::TcpListener;
use ws2http_core::{Config, ProcessStats, Report, Surface};
use ws2http_tokio::{Drain, Hooks, workers};

use super::net::Turmoil;

/// Where gateways listen, for clients and control requests alike.
pub(crate) const PORT: u16 = 7001;

/// One gateway of a simulated world. It may be started again after a crash.
pub(crate) struct Gateway {
    config: Arc<Config>,
    shards: u16,
    seed: u64,
    starts: Cell<u64>,
    drain: RefCell<Option<Drain<Turmoil>>>,
    /// What the log would say.
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Gateway {
    pub(crate) fn new(config: Config, shards: u16, seed: u64) -> Rc<Gateway> {
        Rc::new(Gateway {
            config: Arc::new(config),
            shards,
            seed,
            starts: Cell::new(0),
            drain: RefCell::new(None),
            reports: Arc::default(),
        })
    }

    /// The host's software: runs until a drain has ended.
    pub(crate) async fn run(self: Rc<Self>) -> turmoil::Result {
        let (workers, drain) =
            workers::<Turmoil>(Arc::clone(&self.config), self.shards, self.next_seed(), self.hooks())?;
        *self.drain.borrow_mut() = Some(drain);
        let listener = Rc::new(TcpListener::bind(("0.0.0.0", PORT)).await?);
        let running: Vec<_> = workers
            .into_iter()
            .map(|worker| spawn_local(worker.run(vec![(Surface::Public, Rc::clone(&listener))])))
            .collect();
        drop(listener);
        for worker in running {
            worker.await?;
        }
        Ok(())
    }

    /// Sends everybody away, as SIGTERM would.
    pub(crate) fn drain(&self) {
        if let Some(drain) = &*self.drain.borrow() {
            drain.start();
        }
    }

    /// Ids of connections must not repeat over restarts, so each start has a seed of its own.
    fn next_seed(&self) -> [u8; 32] {
        let start = self.starts.get();
        self.starts.set(start + 1);
        let mut rng = fastrand::Rng::with_seed(self.seed.wrapping_add(start.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        seed
    }

    /// What the log has said since this was asked.
    pub(crate) fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut *lock(&self.reports))
    }

    fn hooks(&self) -> Hooks {
        let reports = Arc::clone(&self.reports);
        Hooks { report: Arc::new(move |report| lock(&reports).push(report)), observe: ProcessStats::default }
    }
}

/// The hooks must be fit for threads, though there is one here: the lock is free, and whole.
fn lock(reports: &Mutex<Vec<Report>>) -> MutexGuard<'_, Vec<Report>> {
    reports.lock().unwrap_or_else(PoisonError::into_inner)
}
