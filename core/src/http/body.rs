//! Request bodies: by length or chunked (RFC 9112, sections 6 and 7.1).

use ::http::StatusCode;
use bytes::Bytes;

use super::Refusal;

/// Chunk-size lines and trailers are no place to hide megabytes.
const LONGEST_LINE: usize = 1024;
const MOST_TRAILERS: usize = 8 * 1024;

/// How a body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    None,
    Length(u64),
    Chunked,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the body, or of the chunk, are to come.
    Data(usize),
    ChunkLine,
    /// The CRLF behind a chunk.
    ChunkEnd,
    Trailers,
    Complete,
}

/// Collects one body. Memory grows with what has come, not with what was claimed.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: State,
    chunked: bool,
    body: Vec<u8>,
    max: usize,
    /// A line of the chunked coding that is not complete.
    line: Vec<u8>,
    trailers: usize,
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is over --max-message")
}

impl BodyReader {
    /// For a body of at most `max` bytes.
    pub(crate) fn new(length: BodyLength, max: usize) -> Result<Self, Refusal> {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Complete,
            BodyLength::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= max);
                State::Data(length.ok_or_else(too_large)?)
            }
            BodyLength::Chunked => State::ChunkLine,
        };
        let chunked = length == BodyLength::Chunked;
        Ok(BodyReader { state, chunked, body: Vec::new(), max, line: Vec::new(), trailers: 0 })
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Takes bytes: how many were the body's, and whether it is complete.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut rest = input;
        while !rest.is_empty() && !self.is_complete() {
            match self.state {
                State::Data(missing) => {
                    let (data, after) = rest.split_at(missing.min(rest.len()));
                    self.body.extend_from_slice(data);
                    rest = after;
                    self.state = match missing - data.len() {
                        0 if self.chunked => State::ChunkEnd,
                        0 => State::Complete,
                        missing => State::Data(missing),
                    };
                }
                State::ChunkLine | State::ChunkEnd | State::Trailers => {
                    if let Some(line) = self.line(&mut rest)? {
                        self.on_line(&line)?;
                    }
                }
                State::Complete => {}
            }
        }
        Ok((input.len() - rest.len(), self.is_complete()))
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.body.into()
    }

    /// The next whole line, without its CRLF.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (part, after) = rest.split_at(end);
        *rest = after;
        self.line.extend_from_slice(part);
        if self.line.len() > LONGEST_LINE {
            return Err(Refusal::bad("a line of the chunked coding is too long"));
        }
        let bare = |line: &[u8]| line.contains(&b'\r');
        match self.line.strip_suffix(b"\n") {
            None if bare(self.line.strip_suffix(b"\r").unwrap_or(&self.line)) => Err(Refusal::bad("CR without LF")),
            None => Ok(None),
            Some(line) => {
                let line = line.strip_suffix(b"\r").filter(|line| !bare(line));
                let line = line.ok_or(Refusal::bad("a line ends without CR"))?.to_vec();
                self.line.clear();
                Ok(Some(line))
            }
        }
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        match self.state {
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkLine,
            State::ChunkEnd => return Err(Refusal::bad("a chunk is longer than it says")),
            State::ChunkLine => {
                let size = chunk_size(line)?;
                if size > self.max - self.body.len() {
                    return Err(too_large());
                }
                self.state = if size == 0 { State::Trailers } else { State::Data(size) };
            }
            State::Trailers if line.is_empty() => self.state = State::Complete,
            State::Trailers => {
                self.trailers += line.len();
                let (name, _) = line.split_at(memchr::memchr(b':', line).unwrap_or(0));
                if self.trailers > MOST_TRAILERS || ::http::HeaderName::from_bytes(name).is_err() {
                    return Err(Refusal::bad("malformed trailer"));
                }
            }
            State::Data(_) | State::Complete => {}
        }
        Ok(())
    }
}

/// Hexadecimal digits, then nothing or extensions, which mean nothing here.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let malformed = || Refusal::bad("malformed chunk size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let plain = |byte: &u8| *byte == b'\t' || (b' '..=b'~').contains(byte);
    if !(extensions.is_empty() || extensions[0] == b';') || !extensions.iter().all(plain) {
        return Err(malformed());
    }
    let size = std::str::from_utf8(size).map_err(|_| malformed())?;
    if size.len() > 16 {
        return Err(malformed());
    }
    let size = u64::from_str_radix(size, 16).map_err(|_| malformed())?;
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}
