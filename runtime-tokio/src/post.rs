//! How workers send each other sockets and messages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use ws2http_core::{HandOff, RouteMessage, ShardId};

use crate::net::Net;

/// What a worker finds in its inbox.
pub(crate) enum Letter<N: Net> {
    /// A socket whose client lives here. It may have broken on the way.
    Socket(io::Result<N::Parcel>, Box<HandOff>),
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
pub(crate) struct Post<N: Net> {
    inboxes: Arc<[mpsc::UnboundedSender<Letter<N>>]>,
    /// Workers whose drain has not ended.
    left: Arc<AtomicUsize>,
}

impl<N: Net> Post<N> {
    /// Makes the inboxes of so many workers.
    pub(crate) fn new(shards: u16) -> (Self, Vec<mpsc::UnboundedReceiver<Letter<N>>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::unbounded_channel()).unzip();
        let left = Arc::new(AtomicUsize::new(shards.into()));
        (Post { inboxes: senders.into(), left }, receivers)
    }

    pub(crate) fn send(&self, shard: ShardId, letter: Letter<N>) {
        if let Some(inbox) = self.inboxes.get(usize::from(shard.0)) {
            // A worker ends with all the others, when nothing of the process is left to do.
            let _ended = inbox.send(letter);
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

    fn send_all(&self, letter: impl Fn() -> Letter<N>) {
        for inbox in self.inboxes.iter() {
            let _ended = inbox.send(letter());
        }
    }
}

impl<N: Net> Clone for Post<N> {
    fn clone(&self) -> Self {
        Post { inboxes: Arc::clone(&self.inboxes), left: Arc::clone(&self.left) }
    }
}
