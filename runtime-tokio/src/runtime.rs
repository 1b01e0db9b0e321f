//! What the driver needs of tokio.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Sleep, sleep_until};
use ws2http_api::{Api, Channels, Dial, Http2};
use ws2http_core::{CallId, Timestamp};
use ws2http_driver::{Runtime, Shard};

use crate::lane;
use crate::lanes::Lanes;
use crate::net::Net;

/// What is read from the API at once, at the most.
const INPUT: usize = 64 * 1024;

/// One shard on tokio: its connections to the API.
pub(crate) struct Tokio<N: Net> {
    pub(crate) lanes: Lanes<N::Stream>,
    channels: Channels<Task>,
    pub(crate) api: Rc<Api<Self>>,
    /// Room for what one read brings in, and for what one write takes: a lane has no buffer of its own.
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
}

impl<N: Net> Tokio<N> {
    pub(crate) fn new(max_idle: usize, api: Api<Self>) -> Self {
        Tokio {
            lanes: Lanes::new(max_idle),
            channels: Channels::new(max_idle),
            api: Rc::new(api),
            input: vec![0; INPUT].into_boxed_slice(),
            output: Vec::new(),
        }
    }
}

/// A task that ends when this is dropped.
pub(crate) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<N: Net> Runtime for Tokio<N> {
    type Listener = N::Listener;
    type Stream = N::Stream;
    type Parcel = N::Parcel;
    type Task = Task;
    type Sleep = Sleep;

    fn accept(listener: &N::Listener) -> impl Future<Output = io::Result<(N::Stream, IpAddr)>> {
        N::accept(listener)
    }

    fn poll_read(stream: &mut N::Stream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(stream).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn poll_write(stream: &mut N::Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(cx, bytes)
    }

    fn poll_shutdown(stream: &mut N::Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(stream).poll_shutdown(cx)
    }

    fn pack(stream: N::Stream) -> io::Result<N::Parcel> {
        N::pack(stream)
    }

    fn unpack(parcel: N::Parcel) -> io::Result<N::Stream> {
        N::unpack(parcel)
    }

    /// It is tokio's time, so a simulation may pause it.
    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(at: Instant) -> Sleep {
        sleep_until(at.into())
    }

    fn reset(sleep: Pin<&mut Sleep>, at: Instant) {
        sleep.reset(at.into());
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Task {
        // What polls many things has its own measure, not tokio's.
        Task(spawn_local(unconstrained(task)))
    }

    fn call(shard: &mut Shard<Self>, id: CallId, request: Request<Bytes>, fresh: bool) {
        if shard.config().api_http2 {
            ws2http_api::call(shard, id, request);
        } else {
            lane::call(shard, id, request, fresh);
        }
    }

    fn cancel(&mut self, call: CallId) {
        self.lanes.cancel(call);
        self.channels.cancel(call);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.lanes.deadline().into_iter().chain(self.channels.deadline()).min()
    }

    fn expire(shard: &mut Shard<Self>, now: Timestamp) {
        shard.runtime.lanes.close_expired(now);
        ws2http_api::expire(shard, now);
    }

    fn close(&mut self) {
        self.lanes.clear();
        self.channels.clear();
    }
}

impl<N: Net> Dial for Tokio<N> {
    type Socket = N::Stream;

    fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> {
        N::resolve(host, port)
    }

    fn dial(address: SocketAddr) -> impl Future<Output = io::Result<N::Stream>> {
        N::connect(address)
    }
}

impl<N: Net> Http2 for Tokio<N> {
    fn channels(&mut self) -> &mut Channels<Task> {
        &mut self.channels
    }

    fn api(&self) -> &Rc<Api<Self>> {
        &self.api
    }
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod dial_tests;
