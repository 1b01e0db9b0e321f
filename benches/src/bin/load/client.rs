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
    /// The gateway's own calls to the API, ready-made, to the bare relay: for the connect, the messages, the close.
    Relay,
}

/// What happened to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It may send: the handshake is done. Holds the time since the first SYN.
    Opened(Duration),
    /// The right answer came. Holds the time since its message was sent, or was due.
    Answered(Duration),
    /// The right pushes came: up to the one of this number, so many at once.
    Heard(u32, u32),
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
    /// Pushes heard so far.
    heard: u32,
    /// Messages that were due while an answer was still awaited.
    missed: u32,
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
        Ok(Client { link, wire, state: State::Connecting, number, sequence: 0, heard: 0, missed: 0, size, since })
    }

    /// Sends the next message, which was `due`: its latency counts from then. The client must have nothing under way.
    pub(crate) fn send(&mut self, due: Instant, scratch: &mut Scratch) -> Result<()> {
        ensure!(self.state == State::Open, "a message while {:?}", self.state);
        self.sequence += 1;
        write_message(&mut scratch.text, self.number, self.sequence, self.size);
        scratch.output.clear();
        match self.wire {
            Wire::WebSocket => write_frame(&mut scratch.output, frame::TEXT, scratch.text.as_bytes(), self.mask()),
            Wire::Relay => write_call(&mut scratch.output, "POST", &id(self.number), scratch.text.as_bytes()),
        }
        self.state = State::Waiting;
        self.since = due;
        Ok(self.link.send(&scratch.output)?)
    }

    /// The next message is due now: sends it, or remembers it if an answer is still awaited.
    ///
    /// Answers whether it was sent. A client that is not open yet, or no more, has no messages.
    pub(crate) fn send_due(&mut self, due: Instant, scratch: &mut Scratch) -> Result<bool> {
        match self.state {
            State::Open => self.send(due, scratch)?,
            State::Waiting => self.missed += 1,
            State::Connecting | State::Upgrading | State::Closing => {}
        }
        Ok(self.state == State::Waiting && self.missed == 0)
    }

    /// After an answer: sends the next of the messages that were due in the meantime, one `every`. Answers whether.
    pub(crate) fn catch_up(&mut self, every: Duration, scratch: &mut Scratch) -> Result<bool> {
        if self.missed == 0 {
            return Ok(false);
        }
        self.missed -= 1;
        self.send(self.since + every, scratch)?;
        Ok(true)
    }

    /// Its number, which makes its ClientId.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Since when a message has been under way, or due.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        (self.state == State::Waiting).then_some(self.since)
    }

    /// Starts the end: a WebSocket says goodbye with 1000, and the server closes.
    pub(crate) fn close(&mut self, scratch: &mut Scratch) -> Result<()> {
        ensure!(self.state == State::Open, "a goodbye while {:?}", self.state);
        scratch.output.clear();
        match self.wire {
            Wire::WebSocket => {
                write_frame(&mut scratch.output, frame::CLOSE, &1000u16.to_be_bytes(), self.mask());
            }
            Wire::Relay => write_call(&mut scratch.output, "DELETE", &id(self.number), b""),
        }
        self.state = State::Closing;
        self.since = Instant::now();
        Ok(self.link.send(&scratch.output)?)
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
            self.connected(scratch)?;
        }
        self.link.flush()?;
        let (wire, state, since) = (self.wire, &mut self.state, self.since);
        let (number, sequence, size, heard) = (self.number, self.sequence, self.size, &mut self.heard);
        let heard_before = *heard;
        let mut released = false;
        let Scratch { input, output, text } = scratch;
        output.clear();
        let peer = self.link.receive(event, input, |bytes| {
            let (taken, what) = hear(wire, *state, bytes, output)?;
            match what {
                Heard::Nothing => {}
                Heard::Upgraded => {
                    *state = State::Open;
                    step = Some(Step::Opened(since.elapsed()));
                }
                Heard::Text(push) if *state == State::Open => {
                    *heard += 1;
                    write_push(text, number, *heard, size);
                    ensure!(push == text.as_bytes(), "neither an answer nor push {heard}: {}", shown(push));
                }
                Heard::Text(answer) => {
                    let took = since.elapsed();
                    ensure!(*state == State::Waiting, "a message while {state:?}: {}", shown(answer));
                    write_message(text, number, sequence, size);
                    ensure!(answer == text.as_bytes(), "wrong echo {} to {text}", shown(answer));
                    *state = State::Open;
                    step = Some(Step::Answered(took));
                }
                Heard::Goodbye => {
                    ensure!(*state == State::Closing, "the server closes: {}", shown(bytes));
                    released = wire == Wire::Relay;
                }
            }
            Ok(taken)
        });
        if !output.is_empty() {
            self.link.send(output)?;
        }
        if self.heard > heard_before {
            step = Some(Step::Heard(self.heard, self.heard - heard_before));
        }
        match peer {
            // The relay does not close: its client has said all, and does.
            _ if released => Ok(Some(Step::Closed(self.since.elapsed()))),
            Ok(Peer::Sending) => Ok(step),
            _ if self.state == State::Closing => Ok(Some(Step::Closed(self.since.elapsed()))),
            Ok(Peer::Closed) => bail!("the server ended the connection"),
            Err(error) => Err(error),
        }
    }

    fn connected(&mut self, scratch: &mut Scratch) -> Result<()> {
        scratch.output.clear();
        match self.wire {
            Wire::WebSocket => write_handshake(&mut scratch.output, &id(self.number)),
            Wire::Relay => write_call(&mut scratch.output, "GET", &id(self.number), b""),
        }
        self.state = State::Upgrading;
        Ok(self.link.send(&scratch.output)?)
    }

    /// Different for every frame and never zero, so that a gateway that does not unmask is found out.
    fn mask(&self) -> [u8; 4] {
        let mixed = (self.number as u64 ^ self.sequence << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed >> 32) as u32 | 1).to_be_bytes()
    }

    /// Takes the socket out of the loop.
    pub(crate) fn leave(mut self, registry: &Registry) {
        if self.wire == Wire::Relay {
            // Its ports would rest for a minute, and whoever connects without saying from where finds none.
            let _ = self.link.end_by_reset();
        }
        // Closing takes it out anyway.
        let _ = self.link.deregister(registry);
    }
}

enum Heard<'a> {
    Nothing,
    Upgraded,
    /// An answer or a push.
    Text(&'a [u8]),
    Goodbye,
}

/// Takes one message of the server from `bytes`; what must be answered at once goes to `output`.
fn hear<'a>(wire: Wire, state: State, bytes: &'a [u8], output: &mut Vec<u8>) -> Result<(usize, Heard<'a>)> {
    if state == State::Upgrading || wire == Wire::Relay {
        let Some(response) = Response::parse(bytes)? else { return Ok((0, Heard::Nothing)) };
        if wire == Wire::Relay {
            ensure!(response.status == 200, "the API answered {} {}", response.status, shown(response.body));
            let heard = match state {
                State::Upgrading => Heard::Upgraded,
                State::Closing => Heard::Goodbye,
                State::Connecting | State::Open | State::Waiting => {
                    return Ok((response.length, Heard::Text(response.body)));
                }
            };
            ensure!(response.body == b"ok", "the API said no: {}", shown(response.body));
            return Ok((response.length, heard));
        }
        response.check_upgraded()?;
        return Ok((response.length, Heard::Upgraded));
    }
    let Some(frame) = Frame::parse(bytes)? else { return Ok((0, Heard::Nothing)) };
    let heard = match frame.opcode {
        frame::TEXT => Heard::Text(frame.payload),
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

/// The ClientId of client `number`.
pub(crate) fn id(number: usize) -> String {
    format!("load-{number}")
}

/// The message that client `number` sends as its `sequence`th: unlike any other of the run.
pub(crate) fn write_message(text: &mut String, number: usize, sequence: u64, size: usize) {
    text.clear();
    // A String takes everything.
    let _ = write!(text, "load-{number} {sequence} ");
    pad(text, size);
}

/// The push that client `number` is to hear as its `sequence`th: no message, and no other push of the run.
pub(crate) fn write_push(text: &mut String, number: usize, sequence: u32, size: usize) {
    text.clear();
    // A String takes everything.
    let _ = write!(text, "load-{number} push {sequence} ");
    pad(text, size);
}

fn pad(text: &mut String, size: usize) {
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
