//! The lean API server: says `ok` to every connect and close, echoes every message, and counts.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::sync::mpsc::UnboundedSender;

use crate::api_http2;
use crate::http::{Request, write_answer};
use crate::link::{Link, Peer, SCRATCH_BYTES};
use crate::listen;

const LISTENER: Token = Token(usize::MAX);

/// Where the counts are read. No ClientId can take this place: the contract reserves `-`.
pub(crate) const COUNTS_TARGET: &str = "/-/counts";

/// What the API server has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// GET requests.
    pub(crate) connects: u64,
    /// POST requests.
    pub(crate) messages: u64,
    /// DELETE requests.
    pub(crate) disconnects: u64,
    /// Messages that did not begin with the ClientId they came under.
    pub(crate) misdirected: u64,
    /// Requests that could not be understood.
    pub(crate) broken: u64,
    /// Connections that are open now, with the one that asks.
    pub(crate) open: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    connects: AtomicU64,
    messages: AtomicU64,
    disconnects: AtomicU64,
    misdirected: AtomicU64,
    broken: AtomicU64,
    open: AtomicU64,
}

impl Counters {
    pub(crate) fn opened(&self) {
        count(&self.open);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn read(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connects: get(&self.connects),
            messages: get(&self.messages),
            disconnects: get(&self.disconnects),
            misdirected: get(&self.misdirected),
            broken: get(&self.broken),
            open: get(&self.open),
        }
    }
}

/// Serves on `threads` threads of their own; answers the address.
pub(crate) fn start(address: SocketAddr, threads: usize) -> Result<SocketAddr> {
    let counters = Arc::new(Counters::default());
    listen::on_threads(address, threads, "api", move |listener| Server::new(listener, Arc::clone(&counters))?.run())
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    links: Slab<Link>,
    counters: Arc<Counters>,
    scratch: Box<[u8]>,
    answers: Vec<u8>,
    /// Takes the connections that begin with HTTP/2; there once one has.
    http2: Option<UnboundedSender<TcpStream>>,
}

impl Server {
    fn new(mut listener: TcpListener, counters: Arc<Counters>) -> Result<Server> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Ok(Server { poll, listener, links: Slab::new(), counters, scratch, answers: Vec::new(), http2: None })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            listen::wait(&mut self.poll, &mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(key) => self.serve(key, event)?,
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(stream) = listen::accept(&self.listener)? {
            let entry = self.links.vacant_entry();
            let token = Token(entry.key());
            entry.insert(Link::register(stream, self.poll.registry(), token)?);
            self.counters.opened();
        }
        Ok(())
    }

    fn serve(&mut self, key: usize, event: &Event) -> Result<()> {
        // A connection that ended earlier in this very batch of events is gone already.
        let Some(link) = self.links.get_mut(key) else { return Ok(()) };
        if link.begins_with(b"PRI ") {
            return self.hand_over(key);
        }
        self.answers.clear();
        let (counters, answers) = (&self.counters, &mut self.answers);
        let peer = link.receive(event, &mut self.scratch, |bytes| take_request(bytes, counters, answers));
        let sent = link.flush().and_then(|()| if answers.is_empty() { Ok(()) } else { link.send(answers) });
        if matches!((peer, sent), (Ok(Peer::Sending), Ok(()))) {
            return Ok(());
        }
        let mut link = self.links.remove(key);
        self.counters.closed();
        // Closing takes it out of the loop anyway.
        let _ = link.deregister(self.poll.registry());
        Ok(())
    }

    /// Has HTTP/2 served elsewhere.
    fn hand_over(&mut self, key: usize) -> Result<()> {
        let mut link = self.links.remove(key);
        self.counters.closed();
        link.deregister(self.poll.registry())?;
        let http2 = match &self.http2 {
            Some(http2) => http2,
            None => self.http2.insert(api_http2::start(Arc::clone(&self.counters))?),
        };
        http2.send(link.into_stream()).context("the HTTP/2 side has ended")
    }
}

fn take_request(bytes: &[u8], counters: &Counters, answers: &mut Vec<u8>) -> Result<usize> {
    let request = match Request::parse(bytes) {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(0),
        Err(error) => {
            count(&counters.broken);
            return Err(error);
        }
    };
    let (status, body) = answer(&request, counters)?;
    write_answer(answers, status, &body);
    Ok(request.length)
}

/// Counts a request; the status and the body of its answer.
pub(crate) fn answer<'a>(request: &Request<'a>, counters: &Counters) -> Result<(&'static str, Cow<'a, [u8]>)> {
    let (counter, status, body) = match request.method {
        "POST" => {
            if !names_its_owner(request) {
                count(&counters.misdirected);
            }
            (&counters.messages, "200 OK", request.body)
        }
        "GET" if request.target == COUNTS_TARGET => {
            return Ok(("200 OK", serde_json::to_vec(&counters.read())?.into()));
        }
        "GET" => (&counters.connects, "200 OK", b"ok".as_slice()),
        "DELETE" => (&counters.disconnects, "200 OK", b"ok".as_slice()),
        _ => (&counters.broken, "405 Method Not Allowed", b"only GET, POST and DELETE".as_slice()),
    };
    count(counter);
    Ok((status, body.into()))
}

/// Clients of this load generator begin every message with their id and a blank.
fn names_its_owner(request: &Request<'_>) -> bool {
    let rest = request.body.strip_prefix(request.client_id().as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b' '))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &str) -> (String, Counts) {
        let (counters, mut answers) = (Counters::default(), Vec::new());
        let taken = take_request(request.as_bytes(), &counters, &mut answers);
        assert!(taken.is_err() || taken.unwrap() == request.len());
        (String::from_utf8(answers).unwrap(), counters.read())
    }

    #[test]
    fn messages_are_echoed_and_their_owner_checked() {
        let (answer, counts) = ask("POST /c7 HTTP/1.1\r\ncontent-length: 6\r\n\r\nc7 1 .");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nc7 1 ."), "{answer}");
        assert_eq!(counts, Counts { messages: 1, ..Counts::default() });
        let (_, counts) = ask("POST /c7 HTTP/1.1\r\ncontent-length: 6\r\n\r\nc70 1.");
        assert_eq!(counts.misdirected, 1);
    }

    #[test]
    fn connects_and_closes_are_ok() {
        let (answer, counts) = ask("GET /c7?a=b HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\nok"));
        assert_eq!(counts.connects, 1);
        let (answer, counts) = ask("DELETE /c7 HTTP/1.1\r\ncontent-length: 3\r\n\r\nbye");
        assert!(answer.ends_with("\r\n\r\nok"));
        assert_eq!(counts.disconnects, 1);
    }

    #[test]
    fn what_is_not_understood_is_counted() {
        assert_eq!(ask("POST /c7 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n").1.broken, 1);
        assert_eq!(ask("PUT /c7 HTTP/1.1\r\n\r\n").1.broken, 1);
    }
}
