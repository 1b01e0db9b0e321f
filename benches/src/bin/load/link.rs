//! A non-blocking socket with what is left over on both sides.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::Result;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// Size of the buffer that one thread reads into.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;

/// One connection of an edge-triggered loop.
///
/// It owns no memory while nothing is half sent or half received.
pub(crate) struct Link {
    stream: TcpStream,
    unsent: Vec<u8>,
    unparsed: Vec<u8>,
    /// Something has been read.
    begun: bool,
}

/// Whether the peer may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Sending,
    Closed,
}

impl Link {
    /// Takes over a non-blocking stream and registers it for both directions.
    pub(crate) fn register(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Link { stream, unsent: Vec::new(), unparsed: Vec::new(), begun: false })
    }

    /// Whether the first bytes are these, which stay unread. They may be asked for once.
    pub(crate) fn begins_with(&mut self, bytes: &[u8; 4]) -> bool {
        let mut first = [0; 4];
        !self.begun && self.stream.peek(&mut first).is_ok_and(|length| length > 0) && {
            self.begun = true;
            first == *bytes
        }
    }

    /// The socket, for another loop.
    pub(crate) fn into_stream(self) -> std::net::TcpStream {
        self.stream.into()
    }

    /// The error that a failed connect left on the socket, if any.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    /// Sends `bytes`, or as much as the socket takes now; the rest waits for [`Link::flush`].
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = write_some(&mut self.stream, bytes)?;
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Sends what an earlier [`Link::send`] could not.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = write_some(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    /// Reads what has arrived and hands it to `take`, whole messages at a time.
    ///
    /// `take` gets all unparsed bytes and answers how many it took; 0 asks for more to arrive first.
    /// A read that does not fill `scratch` is the last one: the loop is edge-triggered, and the next
    /// byte makes a new edge.
    pub(crate) fn receive(
        &mut self,
        event: &Event,
        scratch: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<usize>,
    ) -> Result<Peer> {
        loop {
            let length = match self.stream.read(scratch) {
                Ok(0) => return Ok(Peer::Closed),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Peer::Sending),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            feed(&mut self.unparsed, &scratch[..length], &mut take)?;
            if length < scratch.len() && !event.is_read_closed() {
                return Ok(Peer::Sending);
            }
        }
    }

    /// Dropping it resets the connection from now on: nothing of it remains.
    pub(crate) fn end_by_reset(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Removes the socket from the loop before it is closed.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            other => return other,
        }
    }
}

fn feed(unparsed: &mut Vec<u8>, fresh: &[u8], take: &mut impl FnMut(&[u8]) -> Result<usize>) -> Result<()> {
    if unparsed.is_empty() {
        let taken = take_all(fresh, take)?;
        unparsed.extend_from_slice(&fresh[taken..]);
        return Ok(());
    }
    unparsed.extend_from_slice(fresh);
    let taken = take_all(unparsed, take)?;
    unparsed.drain(..taken);
    if unparsed.is_empty() {
        *unparsed = Vec::new();
    }
    Ok(())
}

fn take_all(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<usize>) -> Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match take(&bytes[taken..])? {
            0 => break,
            more => taken += more,
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cut_anywhere_come_out_whole() {
        let stream = b"ab;cdef;;g;";
        for cut in 0..=stream.len() {
            let mut seen: Vec<Vec<u8>> = Vec::new();
            let mut unparsed = Vec::new();
            let mut take = |bytes: &[u8]| {
                let end = bytes.iter().position(|byte| *byte == b';').map_or(0, |at| at + 1);
                if end > 0 {
                    seen.push(bytes[..end].to_vec());
                }
                Ok(end)
            };
            feed(&mut unparsed, &stream[..cut], &mut take).unwrap();
            feed(&mut unparsed, &stream[cut..], &mut take).unwrap();
            assert!(unparsed.is_empty(), "cut at {cut}");
            assert_eq!(seen, [b"ab;".to_vec(), b"cdef;".to_vec(), b";".to_vec(), b"g;".to_vec()], "cut at {cut}");
        }
    }
}
