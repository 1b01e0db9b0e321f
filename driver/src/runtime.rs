//! What differs from runtime to runtime.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use ws2http_core::{CallId, Timestamp};

use crate::shard::Shard;

/// Sockets, time, tasks and calls to the API, as one worker has them.
///
/// A value of this belongs to one shard ([`Shard::runtime`]) and stays on its thread. It carries out
/// what it is told and decides nothing about the protocol.
pub trait Runtime: Sized + 'static {
    /// Where clients, or the API and operators, come in.
    type Listener: 'static;
    /// A connected socket. The tables hold it by value: it should be small.
    type Stream: 'static;
    /// A socket on its way from one worker to another.
    type Parcel: 'static;
    /// A task that runs until it ends or this is dropped.
    type Task;
    /// A timer.
    type Sleep: Future<Output = ()>;

    /// Waits for the next socket and says who is at its other end.
    ///
    /// # Errors
    ///
    /// When this socket cannot be had; the next call may succeed.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<(Self::Stream, IpAddr)>>;

    /// Reads; 0 is the end. A pending one wakes the task of `cx`.
    ///
    /// # Errors
    ///
    /// As the socket has them.
    fn poll_read(stream: &mut Self::Stream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes, and says how much. A pending one wakes the task of `cx`.
    ///
    /// # Errors
    ///
    /// As the socket has them.
    fn poll_write(stream: &mut Self::Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends FIN.
    ///
    /// # Errors
    ///
    /// As the socket has them.
    fn poll_shutdown(stream: &mut Self::Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes a socket off this worker's reactor.
    ///
    /// # Errors
    ///
    /// When the reactor cannot let go of it; the socket is closed.
    fn pack(stream: Self::Stream) -> io::Result<Self::Parcel>;

    /// Puts a socket on this worker's reactor.
    ///
    /// # Errors
    ///
    /// When the reactor cannot take it; the socket is closed.
    fn unpack(parcel: Self::Parcel) -> io::Result<Self::Stream>;

    /// Reads the clock.
    fn now() -> Instant;

    /// A timer that goes off at `at`.
    fn sleep_until(at: Instant) -> Self::Sleep;

    /// Sets a timer anew.
    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant);

    /// Runs a task on this thread.
    fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Self::Task;

    /// Calls the API ([`ws2http_core::Action::Call`]); [`Shard::reply`] has to follow, and not before
    /// this has returned.
    fn call(shard: &mut Shard<Self>, id: CallId, request: Request<Bytes>, fresh: bool);

    /// Gives a call up: closes its connection, and brings no reply.
    fn cancel(&mut self, call: CallId);

    /// When [`Runtime::expire`] is to be called; at the earliest, the moment it was set.
    fn deadline(&self) -> Option<Timestamp>;

    /// Does what is due by `now`, such as closing idle connections. Safe when early.
    fn expire(shard: &mut Shard<Self>, now: Timestamp);

    /// Gives up everything, at the worker's end.
    fn close(&mut self);
}
