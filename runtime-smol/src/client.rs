//! The isahc clients of a worker. Each is a thread with libcurl's "multi handle" and its connections.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use isahc::HttpClient;
use isahc::config::{Configurable, RedirectPolicy, VersionNegotiation};
use ws2http_core::{CallError, Timestamp};
use ws2http_driver::KEEP_IDLE;

use crate::exchange::describe;

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For how long the addresses of the API are not asked for again.
const ADDRESSES_LIVE: Duration = Duration::from_secs(5);

/// For how long connections are not kept after one has ended instead of bringing an answer.
const DISTRUST: Duration = Duration::from_secs(30);

/// For how long connections are kept no longer than an answer said: others, of another server behind the
/// same address perhaps, may allow more.
const SHORTENED: Duration = Duration::from_secs(60);

/// How many descriptors must be free before a client is made. It needs about five; libcurl without its
/// own would be a panic. The others are for whoever else opens some meanwhile.
const FREE_DESCRIPTORS: usize = 16;

/// Which connections a call may go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that is kept, or will be.
    Kept,
    /// One that has served no other call, nor will.
    Fresh,
}

/// The clients of one worker: made when a call needs them, given up when none did for a while.
///
/// Giving up a client closes its connections. libcurl looks after idle ones only when it has
/// something else to do; without this, those that the API closed would stay until the next call.
pub(crate) struct Clients {
    kept: Client,
    fresh: Client,
    max_idle: usize,
    /// For how long an idle connection may be used again; not at all if zero.
    keep: Duration,
    /// Until then `keep` is short.
    longer_again: Option<Timestamp>,
    /// Until then no connection is kept.
    trust_again: Option<Timestamp>,
}

/// An isahc client that is dropped where nobody waits: its end waits for libcurl's thread, which waits
/// for a name that is being resolved.
pub(crate) struct Http(Option<HttpClient>);

impl Http {
    pub(crate) fn client(&self) -> &HttpClient {
        self.0.as_ref().expect("only the end takes it")
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let client = self.0.take();
        // Not one of smol's threads, which stay and wake up twice a second. Without a thread it is dropped here.
        let _thread = thread::Builder::new().name("isahc-end".to_owned()).spawn(move || drop(client));
    }
}

#[derive(Default)]
struct Client {
    http: Option<Rc<Http>>,
    calls: usize,
    /// When a call came or went last.
    used: Timestamp,
}

impl Clients {
    pub(crate) fn new(max_idle: usize) -> Clients {
        let (kept, fresh) = (Client::default(), Client::default());
        Clients { kept, fresh, max_idle, keep: KEEP_IDLE, longer_again: None, trust_again: None }
    }

    /// The client for one more call.
    pub(crate) fn enter(&mut self, kind: Kind, now: Timestamp) -> Result<Rc<Http>, CallError> {
        if self.trust_again.take_if(|at| *at <= now).is_some() {
            self.kept.http = None;
        }
        if self.longer_again.take_if(|at| *at <= now).is_some() {
            self.keep = KEEP_IDLE;
            self.kept.http = None;
        }
        let max_idle = if kind == Kind::Kept && self.trust_again.is_none() { self.max_idle } else { 0 };
        let keep = self.keep;
        let client = self.client(kind);
        client.calls += 1;
        client.used = now;
        if let Some(http) = &client.http {
            return Ok(Rc::clone(http));
        }
        find_descriptors().map_err(|error| CallError::Connect(format!("failed to initialize client: {error}")))?;
        let http = build(max_idle, keep).map_err(|error| CallError::Connect(describe(&error)))?;
        let http = Rc::new(Http(Some(http)));
        Ok(Rc::clone(client.http.insert(http)))
    }

    /// A call has ended at `now`; one that was given up (`None`) was of no use.
    pub(crate) fn leave(&mut self, kind: Kind, now: Option<Timestamp>) {
        let client = self.client(kind);
        client.calls -= 1;
        client.used = now.unwrap_or(client.used);
    }

    /// How long the API keeps connections, as an answer at `now` said. If it is for less long than was
    /// known, libcurl shall do the same, which it can be told only from the start.
    pub(crate) fn keep(&mut self, keep: Option<Duration>, now: Timestamp) {
        // It counts seconds.
        let keep = Duration::from_secs(keep.map_or(0, |keep| keep.as_secs()));
        if keep < self.keep {
            self.keep = keep;
            // Calls under way have it end when they have.
            self.kept.http = None;
        }
        if keep == self.keep && keep < KEEP_IDLE {
            self.longer_again = Some(now + SHORTENED);
        }
    }

    /// A kept connection ended instead of bringing an answer. Others may have ended as well (the API
    /// starts anew), or will end in the same way (it closes them without notice), and libcurl would
    /// find out one call after the other: for a while, each has a connection of its own.
    pub(crate) fn distrust(&mut self, now: Timestamp) {
        if self.trust_again.is_none() {
            self.kept.http = None;
        }
        self.trust_again = Some(now + DISTRUST);
    }

    /// When [`Clients::close_expired`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        [&self.kept, &self.fresh].into_iter().filter_map(|client| self.expiry(client)).min()
    }

    /// Gives up the clients that have had no call for as long as connections are kept.
    pub(crate) fn close_expired(&mut self, now: Timestamp) {
        for kind in [Kind::Kept, Kind::Fresh] {
            let client = match kind {
                Kind::Kept => &self.kept,
                Kind::Fresh => &self.fresh,
            };
            if self.expiry(client).is_some_and(|expiry| expiry <= now) {
                self.client(kind).http = None;
            }
        }
    }

    /// Gives up all.
    pub(crate) fn clear(&mut self) {
        self.kept.http = None;
        self.fresh.http = None;
    }

    fn client(&mut self, kind: Kind) -> &mut Client {
        match kind {
            Kind::Kept => &mut self.kept,
            Kind::Fresh => &mut self.fresh,
        }
    }

    fn expiry(&self, client: &Client) -> Option<Timestamp> {
        let keep = if self.keep.is_zero() { KEEP_IDLE } else { self.keep };
        (client.http.is_some() && client.calls == 0).then(|| client.used + keep)
    }
}

/// A client that makes of a request no more than that, and keeps so many connections.
fn build(max_idle: usize, keep: Duration) -> Result<HttpClient, isahc::Error> {
    let max_idle = if keep.is_zero() { 0 } else { max_idle };
    HttpClient::builder()
        .connection_cache_size(max_idle)
        .connection_cache_ttl(keep)
        .dns_cache(ADDRESSES_LIVE)
        .connect_timeout(CONNECT_TIMEOUT)
        .version_negotiation(VersionNegotiation::http11())
        .redirect_policy(RedirectPolicy::None)
        .automatic_decompression(false)
        .expect_continue(false)
        .proxy(None)
        .tcp_nodelay()
        .build()
}

/// Whether there are [`FREE_DESCRIPTORS`].
fn find_descriptors() -> io::Result<()> {
    let any = io::stderr();
    let free = (0..FREE_DESCRIPTORS).map(|_| any.as_fd().try_clone_to_owned());
    free.collect::<io::Result<Vec<OwnedFd>>>().map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// Set in the process that has few descriptors.
    const FEW: &str = "FEW_DESCRIPTORS";

    #[test]
    fn without_descriptors_there_is_no_client_and_no_panic() {
        if std::env::var_os(FEW).is_some() {
            return open_with_few_descriptors();
        }
        let test = "client::tests::without_descriptors_there_is_no_client_and_no_panic";
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        let ended = program.args([test, "--exact", "--nocapture"]).env(FEW, "1").output().expect("it starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    #[test]
    fn connections_are_kept_longer_again_when_no_answer_forbids_it() {
        let mut clients = Clients::new(10);
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        // For how long a connection of a call at `now` is kept.
        let mut kept = |now: Timestamp, told: u64| {
            clients.enter(Kind::Kept, now).expect("a client");
            clients.leave(Kind::Kept, Some(now));
            let kept = clients.deadline().expect("an idle client") - now;
            clients.keep(Some(Duration::from_secs(told)), now);
            kept.as_secs()
        };
        assert_eq!(kept(at(0), 4), 15);
        assert_eq!(kept(at(1), 15), 4);
        assert_eq!(kept(at(50), 4), 4);
        assert_eq!(kept(at(100), 9), 4, "told again a minute ago");
        assert_eq!(kept(at(110), 9), 15);
        assert_eq!(kept(at(111), 15), 9);
    }

    fn open_with_few_descriptors() {
        // A panic of libcurl's thread is to be seen.
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            std::process::abort();
        }));
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum }).expect("less is allowed");
        let any = io::stderr();
        let mut taken: Vec<_> = std::iter::from_fn(|| any.as_fd().try_clone_to_owned().ok()).collect();
        let mut clients = Clients::new(10);
        while let Err(error) = clients.enter(Kind::Kept, Timestamp::ZERO) {
            let text = error.to_string();
            assert!(text.contains("Too many open files"), "{text}");
            taken.pop().expect("there are enough at last");
        }
    }
}
