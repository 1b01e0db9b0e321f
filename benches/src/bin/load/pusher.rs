//! One kept-alive connection to the gateway's control side, with one push under way.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Registry, Token};

use crate::client::{self, Scratch, write_push};
use crate::http::{Response, write_push_request};
use crate::link::{Link, Peer};

pub(crate) struct Pusher {
    link: Link,
    /// When the push under way was due.
    due: Option<Instant>,
    input: Box<[u8]>,
}

impl Pusher {
    /// Connects to the gateway's control side, and waits for that.
    pub(crate) fn connect(control: SocketAddr, registry: &Registry, token: Token) -> Result<Pusher> {
        let stream = std::net::TcpStream::connect(control).context("cannot connect to the gateway's control side")?;
        stream.set_nonblocking(true)?;
        let link = Link::register(TcpStream::from_std(stream), registry, token)?;
        Ok(Pusher { link, due: None, input: vec![0; 4096].into_boxed_slice() })
    }

    /// Whether nothing is under way.
    pub(crate) fn is_free(&self) -> bool {
        self.due.is_none()
    }

    /// Pushes to client `number`, as its `sequence`th, what was `due`.
    pub(crate) fn push(
        &mut self,
        number: usize,
        sequence: u32,
        size: usize,
        due: Instant,
        scratch: &mut Scratch,
    ) -> Result<()> {
        ensure!(self.is_free(), "a push while another is under way");
        self.due = Some(due);
        write_push(&mut scratch.text, number, sequence, size);
        scratch.output.clear();
        write_push_request(&mut scratch.output, &client::id(number), scratch.text.as_bytes());
        Ok(self.link.send(&scratch.output)?)
    }

    /// Handles readiness of the socket; answers when the push was due that is answered now.
    ///
    /// # Errors
    /// The gateway did not say `ok`: every client is connected and reads.
    pub(crate) fn ready(&mut self, event: &Event) -> Result<Option<Instant>> {
        self.link.flush()?;
        let (mut done, due) = (None, &mut self.due);
        let peer = self.link.receive(event, &mut self.input, |bytes| {
            let Some(response) = Response::parse(bytes)? else { return Ok(0) };
            let body = String::from_utf8_lossy(response.body);
            ensure!(response.status == 200 && body == "ok", "a push was answered {} {body}", response.status);
            done = Some(due.take().context("an answer to no push")?);
            Ok(response.length)
        })?;
        ensure!(peer == Peer::Sending, "the gateway closed a control connection in use");
        Ok(done)
    }
}
