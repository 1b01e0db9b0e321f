//! The body of a request, read as it comes in.

use bytes::Bytes;
use http::StatusCode;

use super::fields::{FieldsScan, parse_fields};
use super::{BodyLength, Refusal};

/// Chunk extensions of one body together, in bytes. Nobody uses them; without a bound, a body of
/// single bytes could be wrapped in any amount of them.
const MAX_EXTENSIONS: usize = 4 * 1024;

/// Collects one body. What it takes up in memory grows with what has come in, whatever the length claimed.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    body: Vec<u8>,
    max: usize,
    chunked: bool,
    state: State,
    /// Bytes of chunk extensions so far.
    extensions: usize,
}

#[derive(Clone, Debug)]
enum State {
    /// So many bytes of the chunk, or of the body if it is not chunked, are missing: at least one.
    Data(usize),
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the extensions after the size.
    Extension {
        size: usize,
    },
    /// Before the LF that ends a chunk's first line.
    SizeLf {
        size: usize,
    },
    /// Before the CR after a chunk.
    ChunkCr,
    /// Before the LF after a chunk.
    ChunkLf,
    /// In the trailers, whose bytes so far these are.
    Trailers(Box<(Vec<u8>, FieldsScan)>),
    Done,
}

impl BodyReader {
    /// A reader of one body of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// 413 if the length is known and over `max`.
    pub(crate) fn new(length: BodyLength, max: usize) -> Result<Self, Refusal> {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= max => State::Data(length),
                _ => return Err(too_large()),
            },
            BodyLength::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(BodyReader { body: Vec::new(), max, chunked: length == BodyLength::Chunked, state, extensions: 0 })
    }

    /// Takes what belongs to the body from the beginning of `input`. Gives how many bytes that
    /// were, and whether the body is complete; what is after them is the next request.
    ///
    /// # Errors
    ///
    /// 413 as soon as the body is known to be over the maximum, 400 for malformed chunks, 431 for
    /// too large trailers.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut used = 0;
        while used < input.len() && !self.is_complete() {
            used += self.step(&input[used..])?;
        }
        Ok((used, self.is_complete()))
    }

    /// Whether the body is complete.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The body, or what has come in of it so far.
    pub(crate) fn into_bytes(self) -> Bytes {
        // It may wait in a queue, where room for more would be held and not counted.
        self.body.into_boxed_slice().into()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.body.capacity()
    }

    /// Takes one byte of the framing, or as much of the data as is there. `input` is not empty.
    fn step(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let byte = input[0];
        match &mut self.state {
            &mut State::Data(missing) => {
                let data = &input[..input.len().min(missing)];
                if self.body.is_empty() {
                    // Most bodies come in one piece.
                    self.body.reserve_exact(data.len());
                }
                self.body.extend_from_slice(data);
                self.state = match missing - data.len() {
                    0 if self.chunked => State::ChunkCr,
                    0 => State::Done,
                    missing => State::Data(missing),
                };
                return Ok(data.len());
            }
            State::Trailers(trailers) => {
                let (bytes, scan) = &mut **trailers;
                bytes.push(byte);
                if scan.scan(bytes)?.is_some() {
                    parse_fields(bytes)?;
                    self.state = State::Done;
                }
            }
            State::Size { .. }
            | State::Extension { .. }
            | State::SizeLf { .. }
            | State::ChunkCr
            | State::ChunkLf
            | State::Done => self.state = self.after_framing(byte)?,
        }
        Ok(1)
    }

    /// The state after a byte of a chunk's first line, or of the CRLF after its data.
    fn after_framing(&mut self, byte: u8) -> Result<State, Refusal> {
        match (&self.state, byte) {
            (&State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                // Sixteen digits fit.
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(State::Size { size: size * 16 + u64::from(digit), digits: digits + 1 })
            }
            (&State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeLf { size: self.checked(size)? }),
            (&State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size: self.checked(size)? }),
            (&State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (&State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(Refusal::bad("over 4 KiB of chunk extensions"));
                }
                Ok(State::Extension { size })
            }
            (&State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailers(Box::new((Vec::new(), FieldsScan::new(0))))),
            (&State::SizeLf { size }, b'\n') => Ok(State::Data(size)),
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::ChunkCr | State::ChunkLf, _) => Err(Refusal::bad("a chunk is longer than its size says")),
            _ => Err(Refusal::bad("the size of a chunk is malformed")),
        }
    }

    /// The size of a chunk, if it fits within what the body may still have.
    fn checked(&self, size: u64) -> Result<usize, Refusal> {
        let size = usize::try_from(size).ok();
        size.filter(|&size| size <= self.max - self.body.len()).ok_or_else(too_large)
    }
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than --max-message")
}
