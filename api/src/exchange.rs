//! A connection to the API: one request out, one answer in, then the next.
//!
//! It is polled, by the lane's task or by whoever brings a request, and owns no buffer between calls.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws2http_core::{Answer, AnswerReader, CallError, write_request_head};

use crate::stream::ApiStream;

/// A body up to this size is copied behind its head: cheaper than to write the two as two.
const COPIED: usize = 8 * 1024;

/// A connection to the API.
pub struct Link<S> {
    stream: ApiStream<S>,
    /// What the stream has not taken yet of the request under way.
    head: Bytes,
    body: Bytes,
    unflushed: bool,
    /// A byte of the request under way may have left.
    wrote: bool,
    /// A request has been answered.
    used: bool,
    /// Reads the answer of the request under way.
    answer: Option<AnswerReader>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// A connection by which nothing has gone yet.
    pub fn new(stream: ApiStream<S>) -> Self {
        let (head, body) = (Bytes::new(), Bytes::new());
        Link { stream, head, body, unflushed: false, wrote: false, used: false, answer: None }
    }

    /// No request is under way.
    pub fn is_idle(&self) -> bool {
        self.answer.is_none()
    }

    /// Begins an exchange, whose answer has a body of at most `limit` bytes. `scratch` is free for use.
    /// [`Link::poll_answer`] has the rest, also the errors.
    pub fn send(&mut self, request: Request<Bytes>, limit: usize, scratch: &mut Vec<u8>, cx: &mut Context<'_>) {
        debug_assert!(self.is_idle(), "one request at a time");
        scratch.clear();
        write_request_head(scratch, &request);
        self.body = request.into_body();
        if self.body.len() <= COPIED {
            scratch.extend_from_slice(&std::mem::take(&mut self.body));
        }
        self.answer = Some(AnswerReader::new(limit));
        self.wrote = false;
        self.unflushed = true;
        let taken = match Pin::new(&mut self.stream).poll_write(cx, scratch) {
            Poll::Ready(Ok(taken)) => taken,
            // Polled again, it tells its error again, or wakes the lane's task.
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.wrote |= taken > 0;
        if taken < scratch.len() {
            self.head = Bytes::copy_from_slice(&scratch[taken..]);
        }
        // An error comes up again where the answer is waited for.
        let _later = self.poll_send(cx);
    }

    /// Moves the request under way on.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.head.is_empty() || !self.body.is_empty() {
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
            let taken = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &parts))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote = true;
            let of_head = taken.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(taken - of_head);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Moves bytes until the request under way has its answer. `input` is free for use.
    ///
    /// # Errors
    ///
    /// Why there is no answer; the connection is then of no more use.
    pub fn poll_answer(&mut self, input: &mut [u8], cx: &mut Context<'_>) -> Poll<Result<Answer, CallError>> {
        loop {
            let sent = self.poll_send(cx);
            // Whoever refuses a request may answer before having read it.
            let read = self.poll_read(input, cx);
            let Some(reader) = &mut self.answer else { return Poll::Pending };
            let answer = match read {
                Poll::Ready(Ok(0)) => self.ended(),
                Poll::Ready(Ok(count)) => match reader.feed(&input[..count]).transpose() {
                    Some(answer) => answer,
                    None => continue,
                },
                Poll::Ready(Err(error)) => Err(self.broken(error.to_string())),
                Poll::Pending => match sent {
                    Poll::Ready(Err(error)) => Err(self.broken(error.to_string())),
                    Poll::Ready(Ok(())) | Poll::Pending => return Poll::Pending,
                },
            };
            self.answer = None;
            self.used |= answer.is_ok();
            return Poll::Ready(answer.map(|answer| self.checked(answer, input, cx)));
        }
    }

    fn poll_read(&mut self, input: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(input);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// The connection has ended in order, which may be how the answer ends.
    fn ended(&mut self) -> Result<Answer, CallError> {
        let answer = self.answer.take().filter(|_| self.wrote).and_then(|reader| reader.end().ok());
        answer.ok_or_else(|| self.broken("closed before the answer was complete".to_owned()))
    }

    /// What a connection that ended without an answer means for the request.
    fn broken(&self, how: String) -> CallError {
        match (self.wrote, self.used) {
            (true, _) => CallError::Broken(how),
            (false, true) => CallError::Unsent,
            // Nobody could have closed a connection that had been kept.
            (false, false) => {
                CallError::Connect("the API closed the connection before the request was sent".to_owned())
            }
        }
    }

    /// A connection with a rest of the request in it, or with its end, is not used again.
    fn checked(&mut self, answer: Answer, input: &mut [u8], cx: &mut Context<'_>) -> Answer {
        let rest = self.unflushed || !self.head.is_empty() || !self.body.is_empty();
        let keep_alive = answer.keep_alive && !rest && !self.has_ended(input, cx);
        Answer { keep_alive, ..answer }
    }

    /// Whether a connection between two requests is of no more use. If it is, the task of `cx` is
    /// woken when that changes. What comes unasked makes a connection useless too.
    pub fn has_ended(&mut self, input: &mut [u8], cx: &mut Context<'_>) -> bool {
        self.poll_read(input, cx).is_ready()
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
