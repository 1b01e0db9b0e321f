//! A channel: one HTTP/2 connection to the API that serves many calls at once.
//!
//! A call is handed to the connection by whoever brings it about, and leaves when the channel's task
//! runs: with all others that came up since it last ran, in one write. So do answers come in.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use http::Request;
use ws2http_core::{CallError, CallId, Timestamp};
use ws2http_driver::{Shard, SharedShard};

use crate::channels::{ChannelId, Channels};
use crate::server::{Api, Dial, PATIENCE, in_time};
use crate::stream::ApiStream;
use crate::streams::Streams;
use crate::tally::{Tallied, Tally};

/// The most that an answer's headers may take up, in bytes, as over HTTP/1.1.
const MAX_HEADERS: u32 = 64 * 1024;

/// What the API may send on all streams of a connection before this side has taken it: at least.
const LEAST_WINDOW: usize = 1 << 20;

/// The largest window there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// How much memory bodies in many small pieces may take up beyond their length, in bytes.
const PIECES: usize = 8 << 20;

/// A runtime whose calls to the API may go by HTTP/2.
pub trait Http2: Dial {
    /// The connections of this worker, and the calls on them.
    fn channels(&mut self) -> &mut Channels<Self::Task>;

    /// Whom they lead to.
    fn api(&self) -> &Rc<Api<Self>>;
}

type Stream<R> = ApiStream<<R as Dial>::Socket>;
type ToApi<R> = Connection<Tallied<Stream<R>>, Bytes>;

/// Has a call made. A connection that is known to end takes no call anyway, so none is kept from those
/// that have served others before.
pub fn call<R: Http2>(shard: &mut Shard<R>, id: CallId, request: Request<Bytes>) {
    shard.runtime.channels().place(id, request);
    open_missing(shard);
}

/// Does what is due by `now`.
pub fn expire<R: Http2>(shard: &mut Shard<R>, now: Timestamp) {
    shard.runtime.channels().close_expired(now);
    open_missing(shard);
}

/// Opens the connections that waiting calls need.
fn open_missing<R: Http2>(shard: &mut Shard<R>) {
    if !shard.runtime.channels().has_waiting() {
        return;
    }
    let now = shard.read_clock();
    for _ in 0..shard.runtime.channels().missing(now) {
        let id = shard.runtime.channels().open();
        let task = shard.runtime.spawn(run(shard.shared(), id));
        shard.runtime.channels().started(id, task);
    }
}

/// A channel's task.
async fn run<R: Http2>(shard: SharedShard<R>, id: ChannelId) {
    let api = Rc::clone(shard.borrow().runtime.api());
    let limit = shard.borrow().config().max_message;
    let opened_connection = match api.connect().await {
        Ok(stream) => open::<R>(stream, limit).await,
        Err(error) => Err(error),
    };
    match opened_connection {
        Ok((send, mut connection, tally)) => {
            opened(&mut shard.borrow_mut(), id, Streams::new(send, tally, limit));
            poll_fn(|cx| poll(&shard, id, &mut connection, cx)).await;
        }
        Err(error) => not_opened(&mut shard.borrow_mut(), id, &error),
    }
}

/// Begins HTTP/2 on a connection. It is then ready for calls: the API has said how many it takes.
async fn open<R: Http2>(stream: Stream<R>, limit: usize) -> Result<(SendRequest<Bytes>, ToApi<R>, Rc<Tally>), String> {
    let tally = Rc::default();
    let stream = Tallied::new(stream, &tally);
    let window = u32::try_from(limit.max(LEAST_WINDOW)).unwrap_or(LARGEST_WINDOW).min(LARGEST_WINDOW);
    let opening = async {
        let (send, mut connection) = Builder::new()
            .enable_push(false)
            // Until it is told that there may be more.
            .initial_max_send_streams(0)
            .initial_window_size(window)
            .initial_connection_window_size(window)
            .data_frame_budget(PIECES)
            .max_header_list_size(MAX_HEADERS)
            // Answers that are wrong fail each for itself; the calls beside them go on.
            .max_local_error_reset_streams(None)
            .handshake(stream)
            .await
            .map_err(|error| error.to_string())?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Err(how_ended(ended))),
            Poll::Pending if send.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        Ok((send, connection))
    };
    let opened = in_time::<R, _>(PATIENCE, opening).await;
    let opened = opened.unwrap_or_else(|| Err(format!("no SETTINGS that allow a call in {PATIENCE:?}")));
    opened
        .map(|(send, connection)| (send, connection, tally))
        .map_err(|error: String| format!("the API does not begin with HTTP/2, which --api-http2 needs: {error}"))
}

fn how_ended(ended: Result<(), h2::Error>) -> String {
    ended.map_or_else(|error| error.to_string(), |()| "the API closed the connection".to_owned())
}

fn opened<R: Http2>(shard: &mut Shard<R>, id: ChannelId, streams: Streams) {
    let now = shard.read_clock();
    shard.runtime.channels().opened(id, streams, now);
    open_missing(shard);
    // It is idle at once if its calls have been given up meanwhile.
    shard.set_alarm();
}

fn not_opened<R: Http2>(shard: &mut Shard<R>, id: ChannelId, error: &str) {
    let now = shard.read_clock();
    for call in shard.runtime.channels().not_opened(id, now) {
        shard.reply(call, Err(CallError::Connect(error.to_owned())));
    }
    // Others may wait for the next attempt.
    shard.set_alarm();
}

/// Moves a channel on. Ready when its connection has ended.
fn poll<R: Http2>(shard: &SharedShard<R>, id: ChannelId, connection: &mut ToApi<R>, cx: &mut Context<'_>) -> Poll<()> {
    // Writes the calls that it was given, and reads answers. If more is to be written afterwards, it
    // has this task run again.
    let polled = Pin::new(connection).poll(cx);
    let ended = polled.is_ready();
    let mut shard = shard.borrow_mut();
    let now = shard.read_clock();
    if let Poll::Ready(how) = polled {
        shard.runtime.channels().cut_off(id, how_ended(how));
    }
    while let Some((call, result)) = shard.runtime.channels().next_ended(id, now) {
        shard.reply(call, result);
    }
    if ended {
        shard.runtime.channels().remove(id);
    } else {
        shard.runtime.channels().fill(id);
    }
    open_missing(&mut shard);
    if ended { Poll::Ready(()) } else { Poll::Pending }
}
