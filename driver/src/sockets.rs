//! The sockets of one worker, by the slot of their connection.

use std::task::Waker;

use ws2http_core::ConnId;

use crate::ready::Ready;

/// One accepted socket.
pub(crate) struct Socket<S> {
    /// Tells this connection from others that had the slot.
    generation: u32,
    /// There may be bytes to send that did not go out at once.
    pub(crate) unsent: bool,
    /// The gateway has been told that the socket takes no more.
    pub(crate) full: bool,
    /// FIN is to be sent.
    pub(crate) half_close: bool,
    /// The socket.
    pub(crate) stream: S,
    /// Has the socket looked at.
    pub(crate) waker: Waker,
}

/// The table of them. The gateway's slots are small and reused, so it is a plain array.
pub(crate) struct Sockets<S> {
    slots: Vec<Option<Socket<S>>>,
    pub(crate) ready: Ready<ConnId>,
}

impl<S> Sockets<S> {
    pub(crate) fn new() -> Self {
        Sockets { slots: Vec::new(), ready: Ready::default() }
    }

    pub(crate) fn insert(&mut self, id: ConnId, stream: S) {
        // What an idle connection costs in this table.
        const { assert!(size_of::<Option<Socket<S>>>() <= size_of::<S>() + 24) };
        let slot = id.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let waker = self.ready.waker(id);
        self.slots[slot] =
            Some(Socket { generation: id.generation, unsent: false, full: false, half_close: false, stream, waker });
        self.ready.add(id);
    }

    pub(crate) fn get(&mut self, id: ConnId) -> Option<&mut Socket<S>> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|socket| socket.generation == id.generation)
    }

    /// Takes a socket out of the table.
    pub(crate) fn remove(&mut self, id: ConnId) -> Option<S> {
        self.get(id)?;
        Some(self.slots[id.slot as usize].take()?.stream)
    }

    /// Closes all of them.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.ready.clear();
    }
}
