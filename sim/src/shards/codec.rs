//! The client's side of the wire: HTTP answers and frames, written apart from the core's own.

use bytes::Bytes;

use crate::model::{HandshakeAnswer, Heard, Payload};

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(super) fn of_handshake(&self) -> HandshakeAnswer {
        HandshakeAnswer {
            status: self.status,
            protocol: self.header("sec-websocket-protocol").map(str::to_owned),
            retry_after: self.header("retry-after").is_some(),
            body: self.body.clone(),
        }
    }
}

/// Takes a whole answer off the front, if one is there. `head`: it answers a HEAD.
pub(super) fn take_answer(bytes: &mut Vec<u8>, head: bool) -> Result<Option<Answer>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let used = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("an answer that is not HTTP: {error}")),
    };
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let status = parsed.code.unwrap_or_default();
    let mut answer = Answer { status, headers, body: Bytes::new() };
    let bodyless = head || status < 200;
    let length = match answer.header("content-length").filter(|_| !bodyless) {
        Some(length) => length.parse().map_err(|_| format!("Content-Length: {length}"))?,
        None => 0,
    };
    if bytes.len() < used + length {
        return Ok(None);
    }
    answer.body = Bytes::copy_from_slice(&bytes[used..used + length]);
    bytes.drain(..used + length);
    Ok(Some(answer))
}

/// Puts the gateway's frames together.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    message: Option<(bool, Vec<u8>)>,
}

impl FrameReader {
    /// Takes the next whole frame off the front; `Ok(None)` if more bytes are needed.
    pub(super) fn take(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Heard>, String> {
        loop {
            let Some((first, payload)) = take_frame(bytes)? else { return Ok(None) };
            let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
            if first & 0x70 != 0 || (opcode >= 8 && (!fin || payload.len() > 125)) {
                return Err(format!("a frame that begins with {first:#04x}"));
            }
            match opcode {
                0..=2 => {
                    if let Some(message) = self.data(fin, opcode, payload)? {
                        return Ok(Some(message));
                    }
                }
                8 => return close(&payload).map(Some),
                9 => return Ok(Some(Heard::Ping)),
                10 => return Ok(Some(Heard::Pong)),
                _ => return Err(format!("a frame with opcode {opcode}")),
            }
        }
    }

    fn data(&mut self, fin: bool, opcode: u8, payload: Vec<u8>) -> Result<Option<Heard>, String> {
        match (&mut self.message, opcode) {
            (Some((_, body)), 0) => body.extend(payload),
            (none @ None, 1 | 2) => *none = Some((opcode == 1, payload)),
            _ => return Err(format!("a data frame with opcode {opcode} out of turn")),
        }
        if !fin {
            return Ok(None);
        }
        let (text, body) = self.message.take().unwrap_or_default();
        if text && std::str::from_utf8(&body).is_err() {
            return Err("a text message that is not UTF-8".to_owned());
        }
        Ok(Some(Heard::Message(Payload { text, body: body.into() })))
    }
}

fn close(payload: &[u8]) -> Result<Heard, String> {
    match payload {
        [] => Ok(Heard::Close(None)),
        [high, low, reason @ ..] => {
            let reason = std::str::from_utf8(reason).map_err(|_| "a close reason that is not UTF-8")?;
            Ok(Heard::Close(Some((u16::from_be_bytes([*high, *low]), reason.to_owned()))))
        }
        [_] => Err("a close frame of one byte".to_owned()),
    }
}

fn take_frame(bytes: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, String> {
    let [first, second, ..] = bytes[..] else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("a masked frame".to_owned());
    }
    let (start, length) = match second {
        126 if bytes.len() >= 4 => (4, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 if bytes.len() >= 10 => {
            let mut length = [0; 8];
            length.copy_from_slice(&bytes[2..10]);
            (10, u64::from_be_bytes(length))
        }
        126 | 127 => return Ok(None),
        length => (2, u64::from(length)),
    };
    let end = start + usize::try_from(length).map_err(|_| "a frame without end")?;
    if bytes.len() < end {
        return Ok(None);
    }
    let payload = bytes[start..end].to_vec();
    bytes.drain(..end);
    Ok(Some((first, payload)))
}

/// A masked frame.
pub(super) fn frame(fin: bool, opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = vec![opcode | if fin { 0x80 } else { 0 }];
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ ..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}
