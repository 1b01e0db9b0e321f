//! Connections: reads sockets into the worker's buffer, writes what the gateway has for them.
//!
//! The sockets stand in the worker's table. What an answer of the API or a push brings about is
//! written at once, by whoever came with it; the one task of all sockets does the rest.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};

use ws2http_core::{ConnId, Event, SocketEnd};

use crate::runtime::Runtime;
use crate::shard::{Shard, SharedShard};

/// How often one socket is written to before the others have their turn.
const ROUNDS: usize = 16;

/// How many bytes are read from one socket before the others have their turn. Frames cost time, not bytes alone: a
/// flood of pings in one socket must not hold up the messages in all others.
const READ_IN_A_TURN: usize = 16 * 1024;

/// How many sockets have their turn before timers and other tasks have theirs.
const SOCKETS_IN_A_TURN: usize = 128;

/// How many sockets are looked at between two looks at the clock.
const SOCKETS_AT_ONCE: usize = 8;

/// The task of all sockets.
pub(crate) fn run<R: Runtime>(shard: SharedShard<R>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        shard.borrow_mut().poll_sockets(cx);
        Poll::Pending
    })
}

impl<R: Runtime> Shard<R> {
    fn poll_sockets(&mut self, cx: &mut Context<'_>) {
        self.sockets.ready.look(cx.waker());
        for count in 0..SOCKETS_IN_A_TURN {
            let Some(id) = self.sockets.ready.next_due() else { break };
            if count % SOCKETS_AT_ONCE == 0 {
                self.read_clock();
            }
            self.poll_socket(id);
        }
        if self.sockets.ready.has_due() {
            cx.waker().wake_by_ref();
        }
        self.set_alarm();
    }

    fn poll_socket(&mut self, id: ConnId) {
        let Some(socket) = self.sockets.get(id) else { return };
        if socket.unsent {
            self.write(id);
            self.run_actions();
        }
        self.half_close(id);
        self.run_actions();
        let mut read = 0;
        while self.gateway.wants_read(id) {
            let Some(socket) = self.sockets.get(id) else { return };
            if read >= READ_IN_A_TURN {
                return socket.waker.wake_by_ref();
            }
            let mut cx = Context::from_waker(&socket.waker);
            match R::poll_read(&mut socket.stream, &mut cx, &mut self.input) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => self.end(id, SocketEnd::Eof),
                Poll::Ready(Ok(count)) => {
                    read += count;
                    let event = Event::Received(id, &mut self.input[..count]);
                    self.gateway.handle(self.now, event, &mut self.out);
                }
                Poll::Ready(Err(error)) => self.end(id, end_of(&error)),
            }
            self.run_actions();
        }
    }

    /// Sends what the gateway has for a connection, as far as the socket takes it.
    pub(crate) fn write(&mut self, id: ConnId) {
        for _ in 0..ROUNDS {
            let Some(socket) = self.sockets.get(id) else {
                return;
            };
            self.gateway.transmit(id, &mut self.output);
            if self.output.is_empty() {
                socket.unsent = false;
                return;
            }
            match R::poll_write(&mut socket.stream, &mut Context::from_waker(&socket.waker), &self.output) {
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
            socket.waker.wake_by_ref();
        }
    }

    /// Sends FIN, if that has been asked for.
    pub(crate) fn half_close(&mut self, id: ConnId) {
        let Some(socket) = self.sockets.get(id).filter(|socket| socket.half_close) else {
            return;
        };
        match R::poll_shutdown(&mut socket.stream, &mut Context::from_waker(&socket.waker)) {
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
