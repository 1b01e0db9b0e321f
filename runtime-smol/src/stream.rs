//! A client's socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::task::{Context, Poll, ready};

use smol::Async;

/// A socket on smol's reactor, which all threads share: it may be carried to another one as it is.
pub(crate) struct Stream {
    socket: Async<TcpStream>,
    /// The last read took all there was: the next one first waits for more.
    drained: bool,
}

impl Stream {
    /// Small messages leave at once (`TCP_NODELAY`).
    pub(crate) fn new(socket: Async<TcpStream>) -> io::Result<Stream> {
        socket.get_ref().set_nodelay(true)?;
        Ok(Stream { socket, drained: false })
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.drained {
                ready!(self.socket.poll_readable(cx))?;
                self.drained = false;
            }
            match self.socket.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.drained = matches!(result, Ok(count) if count > 0 && count < buffer.len());
                    return Poll::Ready(result);
                }
            }
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.socket.get_ref().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.socket.poll_writable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.socket.get_ref().shutdown(Shutdown::Write)
    }
}
