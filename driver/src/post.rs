//! How workers send each other sockets and messages.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_channel::mpsc;
use ws2http_core::{HandOff, RouteMessage, ShardId};

/// What a worker finds in its inbox.
pub(crate) enum Letter<P> {
    /// A socket whose client lives here. It may have broken on the way.
    Socket(io::Result<P>, Box<HandOff>),
    /// A message of another shard's gateway.
    Message(RouteMessage),
    /// Send everybody away and finish.
    Drain,
    /// All workers have drained: end.
    Finish,
}

/// The inboxes of all workers.
///
/// They have no bound of their own and need none: what is in them belongs to an accepted socket,
/// which is in one place at a time, or to a control connection, which asks one thing at a time.
pub(crate) struct Post<P> {
    inboxes: Arc<[mpsc::UnboundedSender<Letter<P>>]>,
    /// Workers whose drain has not ended.
    left: Arc<AtomicUsize>,
}

impl<P> Post<P> {
    /// Makes the inboxes of so many workers.
    pub(crate) fn new(shards: u16) -> (Self, Vec<mpsc::UnboundedReceiver<Letter<P>>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::unbounded()).unzip();
        let left = Arc::new(AtomicUsize::new(shards.into()));
        (Post { inboxes: senders.into(), left }, receivers)
    }

    pub(crate) fn send(&self, shard: ShardId, letter: Letter<P>) {
        if let Some(inbox) = self.inboxes.get(usize::from(shard.0)) {
            // A worker ends with all the others, when nothing of the process is left to do.
            let _ended = inbox.unbounded_send(letter);
        }
    }

    /// Tells all workers to drain.
    pub(crate) fn drain(&self) {
        self.send_all(|| Letter::Drain);
    }

    /// Notes that the sender's own drain has ended. The last one tells all to finish: until then
    /// each goes on, as a control request may need an answer from any of them.
    pub(crate) fn worker_drained(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.send_all(|| Letter::Finish);
        }
    }

    fn send_all(&self, letter: impl Fn() -> Letter<P>) {
        for inbox in self.inboxes.iter() {
            let _ended = inbox.unbounded_send(letter());
        }
    }
}

impl<P> Clone for Post<P> {
    fn clone(&self) -> Self {
        Post { inboxes: Arc::clone(&self.inboxes), left: Arc::clone(&self.left) }
    }
}

/// Ends the workers in an orderly way.
pub struct Drain<P>(pub(crate) Post<P>);

impl<P> Drain<P> {
    /// Has all workers send their clients away and end (contract, section 8). Safe when repeated.
    pub fn start(&self) {
        self.0.drain();
    }
}

impl<P> fmt::Debug for Drain<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
