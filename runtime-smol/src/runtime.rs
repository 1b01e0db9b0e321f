//! What the driver needs of smol.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use smol::{Async, LocalExecutor, Task, Timer};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use ws2http_api::{Api, Channels, Dial, Http2};
use ws2http_core::{CallId, Timestamp};
use ws2http_driver::{Runtime, Shard};

use crate::client::{Clients, Kind};
use crate::exchange;
use crate::stream::Stream;

/// One shard on smol: its tasks and its calls.
pub(crate) struct Smol {
    pub(crate) executor: Rc<LocalExecutor<'static>>,
    pub(crate) clients: Clients,
    /// The tasks of calls under way by HTTP/1.1, by the call's slot.
    calls: Vec<Option<Call>>,
    channels: Channels<Task<()>>,
    pub(crate) api: Rc<Api<Self>>,
}

struct Call {
    id: CallId,
    /// `None`: not by isahc.
    kind: Option<Kind>,
    task: Task<()>,
}

impl Smol {
    pub(crate) fn new(executor: Rc<LocalExecutor<'static>>, max_idle: usize, api: Api<Self>) -> Smol {
        let (clients, channels) = (Clients::new(max_idle), Channels::new(max_idle));
        Smol { executor, clients, calls: Vec::new(), channels, api: Rc::new(api) }
    }

    pub(crate) fn started(&mut self, id: CallId, kind: Option<Kind>, task: Task<()>) {
        let slot = id.slot as usize;
        if slot >= self.calls.len() {
            self.calls.resize_with(slot + 1, || None);
        }
        self.calls[slot] = Some(Call { id, kind, task });
    }

    /// Forgets a call that has ended at `now`, or is given up.
    pub(crate) fn ended(&mut self, id: CallId, now: Option<Timestamp>) -> Option<Task<()>> {
        let entry = self.calls.get_mut(id.slot as usize)?;
        let call = entry.take_if(|call| call.id == id)?;
        if let Some(kind) = call.kind {
            self.clients.leave(kind, now);
        }
        Some(call.task)
    }
}

/// A timer without the time that it went off.
pub(crate) struct Sleep(Timer);

/// Timers may be late by so much: what is due at about the same time is done in one go.
const GRAIN_NANOS: u32 = 1_000_000;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The end of the grain that `at` is in.
fn coarse(at: Instant) -> Instant {
    let into = at.saturating_duration_since(*ORIGIN).subsec_nanos() % GRAIN_NANOS;
    at + Duration::from_nanos((GRAIN_NANOS - into).into())
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(())
    }
}

impl Runtime for Smol {
    type Listener = Async<TcpListener>;
    type Stream = Stream;
    type Parcel = Stream;
    type Task = Task<()>;
    type Sleep = Sleep;

    async fn accept(listener: &Async<TcpListener>) -> io::Result<(Stream, IpAddr)> {
        let (socket, peer) = listener.accept().await?;
        // A listener on `[::]` tells IPv4 addresses in their IPv6 spelling.
        Ok((Stream::new(socket)?, peer.ip().to_canonical()))
    }

    fn poll_read(stream: &mut Stream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        stream.poll_read(cx, buffer)
    }

    fn poll_write(stream: &mut Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        stream.poll_write(cx, bytes)
    }

    fn poll_shutdown(stream: &mut Stream, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(stream.shutdown())
    }

    fn pack(stream: Stream) -> io::Result<Stream> {
        Ok(stream)
    }

    fn unpack(parcel: Stream) -> io::Result<Stream> {
        Ok(parcel)
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep_until(at: Instant) -> Sleep {
        Sleep(Timer::at(coarse(at)))
    }

    fn reset(mut sleep: Pin<&mut Sleep>, at: Instant) {
        sleep.0.set_at(coarse(at));
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Task<()> {
        self.executor.spawn(task)
    }

    fn call(shard: &mut Shard<Self>, id: CallId, request: Request<Bytes>, fresh: bool) {
        if shard.config().api_http2 {
            ws2http_api::call(shard, id, request);
        } else {
            exchange::call(shard, id, request, fresh);
        }
    }

    /// libcurl cannot be told to give a call up. It was given the gateway's own deadline, and closes
    /// the connection then; and at once, should something come in before.
    fn cancel(&mut self, call: CallId) {
        drop(self.ended(call, None));
        self.channels.cancel(call);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.clients.deadline().into_iter().chain(self.channels.deadline()).min()
    }

    fn expire(shard: &mut Shard<Self>, now: Timestamp) {
        shard.runtime.clients.close_expired(now);
        ws2http_api::expire(shard, now);
    }

    fn close(&mut self) {
        self.calls.clear();
        self.clients.clear();
        self.channels.clear();
    }
}

impl Dial for Smol {
    /// As the libraries for HTTP/2 and TLS want it.
    type Socket = Compat<Async<TcpStream>>;

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        smol::net::resolve((host, port)).await
    }

    async fn dial(address: SocketAddr) -> io::Result<Self::Socket> {
        let socket = Async::<TcpStream>::connect(address).await?;
        socket.get_ref().set_nodelay(true)?;
        Ok(socket.compat())
    }
}

impl Http2 for Smol {
    fn channels(&mut self) -> &mut Channels<Task<()>> {
        &mut self.channels
    }

    fn api(&self) -> &Rc<Api<Self>> {
        &self.api
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_close_together_go_off_together_and_never_early() {
        let base = coarse(*ORIGIN + Duration::from_secs(5));
        for micros in [0, 1, 400, 999] {
            let at = base + Duration::from_micros(micros);
            assert_eq!(coarse(at), base + Duration::from_millis(1));
        }
    }
}
