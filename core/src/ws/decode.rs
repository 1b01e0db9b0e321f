//! Frames in: unmask, reassemble, validate, refuse (RFC 6455, sections 5 to 8).

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::valid_close_code;

/// What the client did wrong, as the close frame will say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

const fn protocol(reason: &'static str) -> Violation {
    Violation { code: 1002, reason }
}

const NOT_UTF8: Violation = Violation { code: 1007, reason: "text is not UTF-8" };
const TOO_BIG: Violation = Violation { code: 1009, reason: "message too big" };

/// A client's close frame: 1005 if it carries no code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloseInfo {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// One complete thing that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message { text: bool, payload: Bytes },
    Ping(Bytes),
    Pong,
    Close(CloseInfo),
}

/// A data message of which not all fragments are here.
#[derive(Debug)]
struct Message {
    text: bool,
    payload: Vec<u8>,
    /// So many bytes of a text are known to be UTF-8.
    checked: usize,
}

/// A frame whose payload is not all here.
#[derive(Debug)]
struct Frame {
    header: FrameHeader,
    mask: [u8; 4],
    length: usize,
    received: usize,
}

/// What a client has begun and not finished.
#[derive(Debug, Default)]
struct Partial {
    /// Bytes not looked at yet: the start of a head, or input that waits for room.
    stash: Vec<u8>,
    frame: Option<Frame>,
    message: Option<Message>,
    /// Payload of a control frame, which may come between the fragments of a message.
    control: Vec<u8>,
}

/// The state between two reads; nothing is allocated between whole messages.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: Option<Box<Partial>>,
}

impl Decoder {
    /// Takes back what [`Decoder::stash`] kept, with `fresh` behind it.
    pub(crate) fn unstash(&mut self, fresh: &[u8]) -> Option<Vec<u8>> {
        let partial = self.partial.as_mut()?;
        if partial.stash.is_empty() {
            return None;
        }
        let mut stash = std::mem::take(&mut partial.stash);
        stash.extend_from_slice(fresh);
        Some(stash)
    }

    /// Keeps input for later: it comes before everything that is received after it.
    pub(crate) fn stash(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.partial().stash.extend_from_slice(rest);
        }
    }

    pub(crate) fn clear_stash(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.stash = Vec::new();
        }
        self.release();
    }

    /// Whether what comes next is the rest of a close frame.
    pub(crate) fn has_begun_close(&self) -> bool {
        let close = OpCode::Control(Control::Close);
        let Some(partial) = &self.partial else { return false };
        match &partial.frame {
            Some(frame) => frame.header.opcode == close,
            None => partial.stash.first().is_some_and(|first| first & 0x0f == u8::from(close)),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_stash(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| !partial.stash.is_empty())
    }

    /// The next item in `input`, which is advanced past what was used. `None`: all input is used up
    /// or stashed. Must not be called while there is a stash.
    pub(crate) fn next(&mut self, input: &mut &mut [u8], max_message: usize) -> Result<Option<Item>, Violation> {
        loop {
            let mut frame = match self.partial.as_mut().and_then(|partial| partial.frame.take()) {
                Some(frame) => frame,
                None => match self.head(input, max_message)? {
                    Some(frame) => frame,
                    None => {
                        let rest = std::mem::take(input);
                        self.stash(rest);
                        return Ok(None);
                    }
                },
            };
            let taken = (frame.length - frame.received).min(input.len());
            let (payload, rest) = std::mem::take(input).split_at_mut(taken);
            *input = rest;
            unmask(payload, frame.mask, frame.received);
            frame.received += taken;
            let complete = frame.received == frame.length;
            let item = match frame.header.opcode {
                OpCode::Control(control) => self.control(control, payload, complete)?,
                OpCode::Data(data) => self.data(data, &frame.header, payload, complete)?,
            };
            if !complete {
                self.partial().frame = Some(frame);
                return Ok(None);
            }
            self.release();
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Frees the state when there is nothing in it.
    fn release(&mut self) {
        if let Some(partial) = &self.partial
            && partial.message.is_none()
            && partial.stash.is_empty()
            && partial.frame.is_none()
        {
            self.partial = None;
        }
    }

    /// Reads and checks the next frame's head; `None` if it is not all here.
    fn head(&self, input: &mut &mut [u8], max_message: usize) -> Result<Option<Frame>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        // What the first byte shows is refused without waiting for the rest.
        if input[0] & 0x70 != 0 {
            return Err(protocol("reserved bits are set"));
        }
        let mut cursor = Cursor::new(&**input);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| protocol("reserved opcode"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let used = cursor.position() as usize;
        let Some(mask) = header.mask else { return Err(protocol("frame is not masked")) };
        let begun = self.partial.as_ref().and_then(|partial| partial.message.as_ref());
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return Err(protocol("control frame is fragmented")),
            OpCode::Control(_) if length > 125 => return Err(protocol("control frame is too long")),
            OpCode::Data(Data::Continue) if begun.is_none() => return Err(protocol("nothing to continue")),
            OpCode::Data(Data::Text | Data::Binary) if begun.is_some() => {
                return Err(protocol("message in the middle of a message"));
            }
            OpCode::Data(_) => {
                let before = begun.map_or(0, |message| message.payload.len());
                if length > (max_message - before.min(max_message)) as u64 {
                    return Err(TOO_BIG);
                }
            }
            OpCode::Control(_) => {}
        }
        *input = &mut std::mem::take(input)[used..];
        Ok(Some(Frame { header, mask, length: length as usize, received: 0 }))
    }

    fn control(&mut self, control: Control, payload: &[u8], complete: bool) -> Result<Option<Item>, Violation> {
        let begun = self.partial.as_ref().is_some_and(|partial| !partial.control.is_empty());
        let whole = if complete && !begun {
            Bytes::copy_from_slice(payload)
        } else {
            let partial = self.partial();
            partial.control.extend_from_slice(payload);
            if !complete {
                return Ok(None);
            }
            std::mem::take(&mut partial.control).into_boxed_slice().into()
        };
        match control {
            Control::Ping => Ok(Some(Item::Ping(whole))),
            Control::Pong => Ok(Some(Item::Pong)),
            Control::Close => close_info(&whole).map(|info| Some(Item::Close(info))),
            Control::Reserved(_) => Err(protocol("reserved opcode")),
        }
    }

    fn data(
        &mut self,
        data: Data,
        header: &FrameHeader,
        payload: &[u8],
        complete: bool,
    ) -> Result<Option<Item>, Violation> {
        let last = complete && header.is_final;
        let begun = self.partial.as_ref().is_some_and(|partial| partial.message.is_some());
        if last && !begun {
            // The common case: a whole message in one read.
            let text = data == Data::Text;
            if text && std::str::from_utf8(payload).is_err() {
                return Err(NOT_UTF8);
            }
            return Ok(Some(Item::Message { text, payload: Bytes::copy_from_slice(payload) }));
        }
        let message = self.partial().message.get_or_insert_with(|| Message {
            text: data == Data::Text,
            payload: Vec::new(),
            checked: 0,
        });
        message.payload.extend_from_slice(payload);
        if message.text {
            check_utf8(message, last)?;
        }
        if !last {
            return Ok(None);
        }
        let done = self.partial.as_mut().and_then(|partial| partial.message.take());
        Ok(done.map(|message| Item::Message { text: message.text, payload: message.payload.into_boxed_slice().into() }))
    }
}

/// Fails as soon as a text can no longer become UTF-8.
fn check_utf8(message: &mut Message, last: bool) -> Result<(), Violation> {
    match std::str::from_utf8(&message.payload[message.checked..]) {
        Ok(_) => message.checked = message.payload.len(),
        Err(error) if error.error_len().is_some() || last => return Err(NOT_UTF8),
        Err(error) => message.checked += error.valid_up_to(),
    }
    Ok(())
}

fn close_info(payload: &[u8]) -> Result<CloseInfo, Violation> {
    match payload {
        [] => Ok(CloseInfo { code: 1005, reason: String::new() }),
        [_] => Err(protocol("close frame with half a code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !valid_close_code(code) {
                return Err(protocol("invalid close code"));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok(CloseInfo { code, reason: reason.to_owned() })
        }
    }
}

/// Unmasks bytes that stand `offset` bytes into a frame's payload.
fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
