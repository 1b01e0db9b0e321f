//! A connection to the API of which it is known whether anything went through it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much has gone through a connection.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    written: Cell<u64>,
    read: Cell<u64>,
}

impl Tally {
    /// Bytes that the stream has taken.
    pub(crate) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Bytes that have come in.
    pub(crate) fn read(&self) -> u64 {
        self.read.get()
    }
}

fn add(counter: &Cell<u64>, count: usize) {
    counter.set(counter.get() + count as u64);
}

/// A connection that counts. It does not offer to write several buffers at once: then the HTTP/2
/// library copies bodies up to 1 KiB, and so writes many calls at once.
pub(crate) struct Tallied<S> {
    stream: S,
    tally: Rc<Tally>,
}

impl<S> Tallied<S> {
    pub(crate) fn new(stream: S, tally: &Rc<Tally>) -> Self {
        Tallied { stream, tally: Rc::clone(tally) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tallied<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        add(&self.tally.read, buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tallied<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        if let Poll::Ready(Ok(count)) = written {
            add(&self.tally.written, count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
