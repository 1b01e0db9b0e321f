//! One client: what it says, and whether the answer is right.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Registry, Token};

use crate::frame::{self, Frame, write_frame};
use crate::http::{Response, write_call, write_handshake};
use crate::link::{Link, Peer};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// WebSocket, to a gateway.
    WebSocket,
    /// The gateway's own calls to the API, ready-made, to the bare relay.
    Relay,
}

/// What happened to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It may send: the handshake is done. Holds the time since the first SYN.
    Opened(Duration),
    /// The right answer came. Holds the time since its message was sent.
    Answered(Duration),
    /// The server closed the connection, after the client had asked for it.
    Closed(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Upgrading,
    Open,
    Waiting,
    Closing,
}

/// Memory that the clients of one thread share.
pub(crate) struct Scratch {
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    pub(crate) text: String,
}

/// One connected client.
pub(crate) struct Client {
    link: Link,
    wire: Wire,
    state: State,
    number: usize,
    sequence: u64,
    size: usize,
    since: Instant,
}

impl Client {
    /// A client on a stream that is still connecting. Its messages are texts of `size` bytes (or of what its id needs).
    pub(crate) fn new(
        stream: TcpStream,
        wire: Wire,
        number: usize,
        size: usize,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Client> {
        let since = Instant::now();
        let link = Link::register(stream, registry, token)?;
        Ok(Client { link, wire, state: State::Connecting, number, sequence: 0, size, since })
    }

    /// Sends the next message. The client must have nothing under way.
    pub(crate) fn send(&mut self, scratch: &mut Scratch) -> Result<()> {
        ensure!(self.state == State::Open, "a message while {:?}", self.state);
        self.sequence += 1;
        write_message(&mut scratch.text, self.number, self.sequence, self.size);
        scratch.output.clear();
        match self.wire {
            Wire::WebSocket => write_frame(&mut scratch.output, frame::TEXT, scratch.text.as_bytes(), self.mask()),
            Wire::Relay => {
                let id_length = scratch.text.find(' ').unwrap_or_default();
                write_call(&mut scratch.output, &scratch.text[..id_length], scratch.text.as_bytes());
            }
        }
        self.state = State::Waiting;
        self.since = Instant::now();
        Ok(self.link.send(&scratch.output)?)
    }

    /// Starts the end: a WebSocket says goodbye with 1000, and the server closes.
    ///
    /// Answers whether the end is still to be awaited.
    pub(crate) fn close(&mut self, scratch: &mut Scratch) -> Result<bool> {
        if self.wire == Wire::Relay {
            return Ok(false);
        }
        ensure!(self.state == State::Open, "a goodbye while {:?}", self.state);
        scratch.output.clear();
        write_frame(&mut scratch.output, frame::CLOSE, &1000u16.to_be_bytes(), self.mask());
        self.state = State::Closing;
        self.since = Instant::now();
        self.link.send(&scratch.output)?;
        Ok(true)
    }

    /// Handles readiness of the socket.
    ///
    /// # Errors
    /// Whatever the server did that it should not have: the run is to end.
    pub(crate) fn ready(&mut self, event: &Event, scratch: &mut Scratch) -> Result<Option<Step>> {
        let result = self.try_ready(event, scratch);
        result.with_context(|| format!("client {} ({:?}, message {})", id(self.number), self.state, self.sequence))
    }

    fn try_ready(&mut self, event: &Event, scratch: &mut Scratch) -> Result<Option<Step>> {
        let mut step = None;
        if self.state == State::Connecting {
            if !event.is_writable() {
                return Ok(None);
            }
            self.link.take_error().context("cannot connect")?;
            step = self.connected(scratch)?;
        }
        self.link.flush()?;
        let (wire, state, since) = (self.wire, &mut self.state, self.since);
        let (number, sequence, size) = (self.number, self.sequence, self.size);
        let Scratch { input, output, text } = scratch;
        output.clear();
        let peer = self.link.receive(event, input, |bytes| {
            let (taken, heard) = hear(wire, *state, bytes, output)?;
            match heard {
                Heard::Nothing => {}
                Heard::Upgraded => {
                    *state = State::Open;
                    step = Some(Step::Opened(since.elapsed()));
                }
                Heard::Answer(answer) => {
                    let took = since.elapsed();
                    ensure!(*state == State::Waiting, "an answer to nothing: {}", shown(answer));
                    write_message(text, number, sequence, size);
                    ensure!(answer == text.as_bytes(), "wrong echo {} to {text}", shown(answer));
                    *state = State::Open;
                    step = Some(Step::Answered(took));
                }
                Heard::Goodbye => {
                    ensure!(*state == State::Closing, "the server closes: {}", shown(bytes));
                }
            }
            Ok(taken)
        });
        if !output.is_empty() {
            self.link.send(output)?;
        }
        match peer {
            Ok(Peer::Sending) => Ok(step),
            _ if self.state == State::Closing => Ok(Some(Step::Closed(self.since.elapsed()))),
            Ok(Peer::Closed) => bail!("the server ended the connection"),
            Err(error) => Err(error),
        }
    }

    fn connected(&mut self, scratch: &mut Scratch) -> Result<Option<Step>> {
        if self.wire == Wire::Relay {
            self.state = State::Open;
            return Ok(Some(Step::Opened(self.since.elapsed())));
        }
        scratch.output.clear();
        write_handshake(&mut scratch.output, &id(self.number));
        self.state = State::Upgrading;
        self.link.send(&scratch.output)?;
        Ok(None)
    }

    /// Different for every frame and never zero, so that a gateway that does not unmask is found out.
    fn mask(&self) -> [u8; 4] {
        let mixed = (self.number as u64 ^ self.sequence << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed >> 32) as u32 | 1).to_be_bytes()
    }

    /// Takes the socket out of the loop.
    pub(crate) fn leave(mut self, registry: &Registry) {
        // Closing takes it out anyway.
        let _ = self.link.deregister(registry);
    }
}

enum Heard<'a> {
    Nothing,
    Upgraded,
    Answer(&'a [u8]),
    Goodbye,
}

/// Takes one message of the server from `bytes`; what must be answered at once goes to `output`.
fn hear<'a>(wire: Wire, state: State, bytes: &'a [u8], output: &mut Vec<u8>) -> Result<(usize, Heard<'a>)> {
    if state == State::Upgrading || wire == Wire::Relay {
        let Some(response) = Response::parse(bytes)? else { return Ok((0, Heard::Nothing)) };
        if wire == Wire::Relay {
            ensure!(response.status == 200, "the API answered {} {}", response.status, shown(response.body));
            return Ok((response.length, Heard::Answer(response.body)));
        }
        response.check_upgraded()?;
        return Ok((response.length, Heard::Upgraded));
    }
    let Some(frame) = Frame::parse(bytes)? else { return Ok((0, Heard::Nothing)) };
    let heard = match frame.opcode {
        frame::TEXT => Heard::Answer(frame.payload),
        frame::CLOSE => Heard::Goodbye,
        frame::PONG => Heard::Nothing,
        frame::PING => {
            write_frame(output, frame::PONG, frame.payload, [1, 2, 3, 4]);
            Heard::Nothing
        }
        other => bail!("a frame with opcode {other}"),
    };
    Ok((frame.length, heard))
}

fn id(number: usize) -> String {
    format!("load-{number}")
}

/// The message that client `number` sends as its `sequence`th: unlike any other of the run.
fn write_message(text: &mut String, number: usize, sequence: u64, size: usize) {
    text.clear();
    // A String takes everything.
    let _ = write!(text, "load-{number} {sequence} ");
    while text.len() < size {
        text.push_str(&PADDING[..PADDING.len().min(size - text.len())]);
    }
}

const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789..";

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_size_and_no_equal() {
        let (mut one, mut other) = (String::new(), String::new());
        write_message(&mut one, 12, 3, 64);
        assert_eq!(one.len(), 64);
        assert!(one.starts_with(&format!("{} ", id(12))));
        write_message(&mut other, 1, 23, 64);
        assert_ne!(one, other);
        write_message(&mut one, 12, 3, 1000);
        assert_eq!(one.len(), 1000);
    }

    #[test]
    fn a_ping_is_answered_and_is_no_answer() {
        let mut output = Vec::new();
        let (taken, heard) = hear(Wire::WebSocket, State::Open, b"\x89\x02hi", &mut output).unwrap();
        assert_eq!(taken, 4);
        assert!(matches!(heard, Heard::Nothing));
        assert_eq!((output[0], output.len()), (0x8a, 8));
    }

    #[test]
    fn an_error_of_the_api_is_not_taken_for_an_echo() {
        let bytes = b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno";
        assert!(hear(Wire::Relay, State::Waiting, bytes, &mut Vec::new()).is_err());
    }
}
