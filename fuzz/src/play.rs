//! One client, one gateway, and an API that answers at once.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ws2http_core::{CallError, Config, Event, Holdings, SocketEnd};

use crate::client::Sock;
use crate::forward;
use crate::pair::{Pair, pair};

/// What the API says to a call.
pub(crate) type Api = fn(&Request<Bytes>) -> Result<Response<Bytes>, CallError>;

/// Longer than every timeout there is.
const LONG: Duration = Duration::from_secs(600);

/// A client on its only socket.
pub(crate) struct Scene {
    pub(crate) pair: Pair,
    sock: usize,
    api: Api,
    /// What the API was asked, in order.
    pub(crate) calls: Vec<Request<Bytes>>,
}

impl Scene {
    pub(crate) fn new(change: impl FnOnce(&mut Config), api: Api) -> Self {
        let mut pair = pair(change);
        let sock = pair.socket();
        Scene { pair, sock, api, calls: Vec::new() }
    }

    /// The client sends; the API answers all that it is asked.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.pair.send(self.sock, bytes);
        self.answer();
    }

    fn answer(&mut self) {
        while !self.pair.calls.is_empty() {
            let call = self.pair.calls.remove(0);
            forward::check_written(&call.request);
            let answer = (self.api)(&call.request);
            self.calls.push(call.request);
            self.pair.event(call.shard, Event::Reply(call.id, answer));
        }
    }

    pub(crate) fn sock(&mut self) -> &mut Sock {
        self.pair.sock(self.sock)
    }

    /// The client sends no more, and time passes: nothing may be left.
    pub(crate) fn end(&mut self) {
        self.pair.end(self.sock, SocketEnd::Eof);
        self.answer();
        self.pair.pass(LONG);
        self.answer();
        assert_eq!(self.pair.shards[0].holdings(), Holdings::default(), "something is left over");
        assert!(self.sock().closed, "the socket is still there");
    }
}

/// The same bytes as they may come in: at once, in single bytes (long ones in 512 pieces), and cut in
/// places that they draw themselves.
pub(crate) fn ways(data: &[u8]) -> [Vec<&[u8]>; 3] {
    let seed = data.iter().fold(data.len() as u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cuts: Vec<usize> = (0..random.usize(1..10)).map(|_| random.usize(..=data.len())).collect();
    cuts.extend([0, data.len()]);
    cuts.sort_unstable();
    let pieces = cuts.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect();
    [vec![data], data.chunks(1 + data.len() / 512).collect(), pieces]
}
