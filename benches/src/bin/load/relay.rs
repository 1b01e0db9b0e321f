//! The yardstick: a relay that does the gateway's socket work and nothing else.
//!
//! Per message it does the four socket operations that no gateway can do without: read from the client, write to
//! a kept-alive API connection, read the answer, write it to the client. It looks at no byte of what it passes on.
//! So it takes each read from the API for a whole answer: right on loopback for small messages, and the clients,
//! which check every answer, would notice the contrary. A connect and a close are calls to the API like a message.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::link::{Link, Peer, SCRATCH_BYTES};
use crate::listen;

const LISTENER: Token = Token(usize::MAX);

/// Relays to the API at `api` on `threads` threads of their own; answers the address to connect to.
pub(crate) fn start(address: SocketAddr, api: SocketAddr, threads: usize) -> Result<SocketAddr> {
    listen::on_threads(address, threads, "relay", move |listener| Relay::new(listener, api)?.run())
}

/// One end of the relay, and the other end that its next bytes go to.
struct End {
    link: Link,
    partner: Option<usize>,
    is_api: bool,
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    api: SocketAddr,
    ends: Slab<End>,
    idle: Vec<usize>,
    scratch: Box<[u8]>,
}

impl Relay {
    fn new(mut listener: TcpListener, api: SocketAddr) -> Result<Relay> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let scratch = vec![0; SCRATCH_BYTES].into_boxed_slice();
        Ok(Relay { poll, listener, api, ends: Slab::new(), idle: Vec::new(), scratch })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            listen::wait(&mut self.poll, &mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(key) => self.pass_on(key, event)?,
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(stream) = listen::accept(&self.listener)? {
            self.add(stream, false)?;
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream, is_api: bool) -> Result<usize> {
        let entry = self.ends.vacant_entry();
        let key = entry.key();
        let link = Link::register(stream, self.poll.registry(), Token(key))?;
        entry.insert(End { link, partner: None, is_api });
        Ok(key)
    }

    fn pass_on(&mut self, key: usize, event: &Event) -> Result<()> {
        // An end that was closed earlier in this very batch of events is gone already.
        let Some(end) = self.ends.get_mut(key) else { return Ok(()) };
        if end.link.flush().is_err() {
            self.close(key);
            return Ok(());
        }
        if !event.is_readable() && !event.is_read_closed() {
            return Ok(());
        }
        let (was_paired, is_api) = (end.partner.is_some(), end.is_api);
        let partner = match (end.partner, is_api) {
            (Some(partner), _) => partner,
            (None, false) => self.pair(key)?,
            // The API closes a connection that nobody uses.
            (None, true) => {
                self.close(key);
                return Ok(());
            }
        };
        let Some((from, to)) = self.ends.get2_mut(key, partner) else { return Ok(()) };
        let mut passed = false;
        let peer = from.link.receive(event, &mut self.scratch, |bytes| {
            passed = true;
            to.link.send(bytes)?;
            Ok(bytes.len())
        });
        if !matches!(peer, Ok(Peer::Sending)) {
            self.close(key);
        } else if is_api && passed {
            self.part(key, partner);
        } else if !was_paired && !passed {
            self.part(partner, key);
        }
        Ok(())
    }

    /// Gives the client an API connection of its own until the answer.
    fn pair(&mut self, client: usize) -> Result<usize> {
        let api = match self.idle.pop() {
            Some(api) => api,
            None => {
                let stream = TcpStream::connect(self.api).context("the relay cannot connect to the API")?;
                self.add(stream, true)?
            }
        };
        self.ends[client].partner = Some(api);
        self.ends[api].partner = Some(client);
        Ok(api)
    }

    fn part(&mut self, api: usize, client: usize) {
        self.ends[client].partner = None;
        self.ends[api].partner = None;
        self.idle.push(api);
    }

    /// Closes an end, and the one it is paired with: an answer must not reach another client.
    fn close(&mut self, key: usize) {
        let Some(mut end) = self.ends.try_remove(key) else { return };
        // Closing takes it out of the loop anyway.
        let _ = end.link.deregister(self.poll.registry());
        if end.is_api && end.partner.is_none() {
            self.idle.retain(|idle| *idle != key);
        }
        if let Some(partner) = end.partner {
            self.close(partner);
        }
    }
}
