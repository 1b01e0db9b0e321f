//! What tungstenite reads in the same bytes. For comparison in tests, and for the fuzzers.

use std::io;

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// Input that is there, and then would block.
struct Memory<'a>(&'a [u8]);

impl io::Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl io::Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages that a client sent, up to a close frame, and why the rest is refused, if it is.
pub(crate) fn read(bytes: &[u8], max_message: usize) -> (Vec<Message>, Option<Error>) {
    let limit = Some(max_message);
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit).read_buffer_size(1024);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut memory = Memory(bytes);
    let mut messages = Vec::new();
    loop {
        match context.read(&mut memory) {
            Ok(message) => {
                let close = message.is_close();
                messages.push(message);
                if close {
                    return (messages, None);
                }
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (messages, None),
            Err(error) => return (messages, Some(error)),
        }
    }
}
