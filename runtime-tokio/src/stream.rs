//! A byte stream to the API, plain or TLS.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

enum Transport<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
}

/// A connection to the API that notes whether it was written to.
pub(crate) struct ApiStream<S> {
    transport: Transport<S>,
    /// Set by each write that took something; whoever sends a request clears it before.
    wrote: Rc<Cell<bool>>,
}

impl<S> ApiStream<S> {
    pub(crate) fn plain(stream: S) -> Self {
        ApiStream { transport: Transport::Plain(stream), wrote: Rc::default() }
    }

    pub(crate) fn tls(stream: TlsStream<S>) -> Self {
        ApiStream { transport: Transport::Tls(Box::new(stream)), wrote: Rc::default() }
    }

    pub(crate) fn wrote(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.wrote)
    }

    fn note(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(written)) if written > 0) {
            self.wrote.set(true);
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ApiStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ApiStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buffer),
        };
        self.note(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        };
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
