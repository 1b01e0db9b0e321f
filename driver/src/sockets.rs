//! The sockets of one worker, by the slot of their connection.

use std::task::Waker;

use ws2http_core::ConnId;

/// One accepted socket.
pub(crate) struct Socket<S> {
    /// Tells this connection from others that had the slot.
    generation: u32,
    /// There may be bytes to send that the socket's own task has to take up.
    pub(crate) unsent: bool,
    /// The gateway has been told that the socket takes no more.
    pub(crate) full: bool,
    /// FIN is to be sent.
    pub(crate) half_close: bool,
    /// The socket.
    pub(crate) stream: S,
    /// Wakes the socket's task; `None` until that has run once.
    pub(crate) waker: Option<Waker>,
}

impl<S> Socket<S> {
    /// Has the socket's task run. It runs anyway if it never did.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// The table of them. The gateway's slots are small and reused, so it is a plain array.
pub(crate) struct Sockets<S> {
    slots: Vec<Option<Socket<S>>>,
}

impl<S> Sockets<S> {
    pub(crate) fn new() -> Self {
        Sockets { slots: Vec::new() }
    }

    pub(crate) fn insert(&mut self, id: ConnId, stream: S) {
        // What an idle connection costs in this table.
        const { assert!(size_of::<Option<Socket<S>>>() <= size_of::<S>() + 32) };
        let slot = id.slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(Socket {
            generation: id.generation,
            unsent: true,
            full: false,
            half_close: false,
            stream,
            waker: None,
        });
    }

    pub(crate) fn get(&mut self, id: ConnId) -> Option<&mut Socket<S>> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|socket| socket.generation == id.generation)
    }

    /// Takes a socket out of the table. Its task ends, as it finds nothing the next time it runs.
    pub(crate) fn remove(&mut self, id: ConnId) -> Option<S> {
        self.get(id)?;
        let socket = self.slots[id.slot as usize].take()?;
        socket.wake();
        Some(socket.stream)
    }

    /// Closes all of them.
    pub(crate) fn clear(&mut self) {
        for socket in self.slots.drain(..).flatten() {
            socket.wake();
        }
    }
}
