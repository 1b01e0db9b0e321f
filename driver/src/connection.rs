//! A connection's task: reads its socket into the worker's buffer, writes what the gateway has for it.
//!
//! The socket itself stands in the worker's table, so that an action that another task brings
//! about (an answer of the API, a push) is written at once. The task is what the socket's reactor
//! wakes, and does not own more than its name.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ws2http_core::{ConnId, Event, SocketEnd};

use crate::runtime::Runtime;
use crate::shard::{Shard, SharedShard};

/// How often one task writes before the others have their turn.
const ROUNDS: usize = 16;

/// How many bytes one task reads before the others have their turn. Frames cost time, not bytes alone: a flood
/// of pings in one socket must not hold up the messages in all others.
const READ_IN_A_TURN: usize = 16 * 1024;

/// The task of one connection.
pub(crate) struct ConnectionTask<R: Runtime> {
    pub(crate) shard: SharedShard<R>,
    pub(crate) id: ConnId,
}

impl<R: Runtime> Future for ConnectionTask<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A quarter of a million of these are held at once.
        const { assert!(size_of::<ConnectionTask<R>>() <= 16) };
        self.shard.borrow_mut().poll_connection(self.id, cx)
    }
}

impl<R: Runtime> Shard<R> {
    fn poll_connection(&mut self, id: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        self.read_clock();
        let Some(socket) = self.sockets.get(id) else {
            return Poll::Ready(());
        };
        match &mut socket.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if socket.unsent {
            self.write(id);
            self.run_actions();
        }
        self.half_close(id);
        self.run_actions();
        let mut read = 0;
        while read < READ_IN_A_TURN {
            let Some(socket) = self.sockets.get(id) else {
                return Poll::Ready(());
            };
            if !self.gateway.wants_read(id) {
                return Poll::Pending;
            }
            let end = match R::poll_read(&mut socket.stream, cx, &mut self.input) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => SocketEnd::Eof,
                Poll::Ready(Ok(count)) => {
                    read += count;
                    let event = Event::Received(id, &mut self.input[..count]);
                    self.gateway.handle(self.now, event, &mut self.out);
                    self.run_actions();
                    continue;
                }
                Poll::Ready(Err(error)) => end_of(&error),
            };
            self.end(id, end);
            self.run_actions();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what the gateway has for a connection, as far as the socket takes it.
    pub(crate) fn write(&mut self, id: ConnId) {
        for _ in 0..ROUNDS {
            let Some(socket) = self.sockets.get(id) else {
                return;
            };
            // Without a task that could be woken, the first run of the task does it.
            let Some(waker) = &socket.waker else {
                return;
            };
            self.gateway.transmit(id, &mut self.output);
            if self.output.is_empty() {
                socket.unsent = false;
                return;
            }
            match R::poll_write(&mut socket.stream, &mut Context::from_waker(waker), &self.output) {
                Poll::Ready(Ok(0)) => return self.end(id, SocketEnd::Failed),
                Poll::Ready(Ok(sent)) => {
                    socket.full = false;
                    self.handle(Event::Sent(id, sent));
                }
                Poll::Ready(Err(error)) => return self.end(id, end_of(&error)),
                Poll::Pending => {
                    socket.unsent = true;
                    if !socket.full {
                        socket.full = true;
                        self.handle(Event::Sent(id, 0));
                    }
                    return;
                }
            }
        }
        if let Some(socket) = self.sockets.get(id) {
            socket.unsent = true;
            socket.wake();
        }
    }

    /// Sends FIN, if that has been asked for.
    pub(crate) fn half_close(&mut self, id: ConnId) {
        let Some(socket) = self.sockets.get(id).filter(|socket| socket.half_close) else {
            return;
        };
        let Some(waker) = &socket.waker else {
            return;
        };
        match R::poll_shutdown(&mut socket.stream, &mut Context::from_waker(waker)) {
            Poll::Ready(Ok(())) => socket.half_close = false,
            Poll::Ready(Err(error)) => self.end(id, end_of(&error)),
            Poll::Pending => {}
        }
    }

    /// Tells the gateway of a socket's end. Who only sends no more may still read.
    fn end(&mut self, id: ConnId, how: SocketEnd) {
        match how {
            SocketEnd::Eof => {}
            SocketEnd::Reset | SocketEnd::Failed => drop(self.sockets.remove(id)),
        }
        self.handle(Event::SocketEnded(id, how));
    }
}

fn end_of(error: &io::Error) -> SocketEnd {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            SocketEnd::Reset
        }
        _ => SocketEnd::Failed,
    }
}
