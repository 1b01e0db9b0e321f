//! What clients, API and pushes say: a kind, whose it is, and its number.

/// A message of a client, and the API's answer to it, which is the same.
pub(crate) const MESSAGE: u8 = b'm';

/// A push.
pub(crate) const PUSH: u8 = b'p';

/// Writes a message.
pub(crate) fn write(kind: u8, id: u32, number: u16) -> String {
    format!("{} {id:x} {number}", char::from(kind))
}

/// Reads a message: its kind, whose it is, and its number.
pub(crate) fn read(text: &[u8]) -> Option<(u8, u32, u16)> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let &[kind] = words.next()?.as_bytes() else { return None };
    let id = u32::from_str_radix(words.next()?, 16).ok()?;
    let number = words.next()?.parse().ok()?;
    Some((kind, id, number)).filter(|_| words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(read(write(PUSH, 0x1f, 7).as_bytes()), Some((PUSH, 0x1f, 7)));
        assert_eq!(write(MESSAGE, 0x1f, 7), "m 1f 7");
        for other in ["", "m", "m 1", "m 1 2 3", "mm 1 2", "m g 2", "m 1 -2"] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
