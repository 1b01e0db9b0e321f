//! The name of one client (contract, section 2).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Longest id, in bytes of its decoded text.
const MAX_BYTES: usize = 512;

/// Everything but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name of one client: the percent-decoded text of one path segment.
///
/// Two spellings of one segment (`/a%21`, `/a!`) are one id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Box<str>);

/// Why a path segment is no ClientId. The messages are meant for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// There is nothing in it.
    #[error("the ClientId is empty: ask for /<ClientId>")]
    Empty,
    /// It is longer than 512 bytes.
    #[error("the ClientId is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the ClientId has a % that is not followed by two hexadecimal digits (write %25 for a %)")]
    BadEscape,
    /// The decoded bytes are not UTF-8.
    #[error("the ClientId is not UTF-8")]
    NotUtf8,
    /// It has a control character.
    #[error("the ClientId has a control character")]
    Control,
    /// It has a slash, escaped or not.
    #[error("the ClientId has a slash")]
    Slash,
    /// It is `.` or `..`.
    #[error("the ClientId cannot be . or ..")]
    DotSegment,
    /// It is `-`.
    #[error("the ClientId - is reserved")]
    Reserved,
}

impl ClientId {
    /// Reads one path segment as it stands in a request target, percent escapes and all.
    ///
    /// # Errors
    ///
    /// The rules of the contract, section 2.
    pub fn parse(segment: &str) -> Result<Self, ClientIdError> {
        check_escapes(segment)?;
        let text = percent_decode_str(segment).decode_utf8().map_err(|_| ClientIdError::NotUtf8)?;
        match &*text {
            "" => return Err(ClientIdError::Empty),
            "-" => return Err(ClientIdError::Reserved),
            "." | ".." => return Err(ClientIdError::DotSegment),
            text if text.len() > MAX_BYTES => return Err(ClientIdError::TooLong),
            text if text.contains('/') => return Err(ClientIdError::Slash),
            // C0, DEL and C1.
            text if text.contains(char::is_control) => return Err(ClientIdError::Control),
            _ => {}
        }
        Ok(ClientId(text.into()))
    }

    /// The decoded text: what the id *is*.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one canonical spelling as a path segment: all but unreserved characters as `%XX`.
    pub fn encoded(&self) -> impl fmt::Display + Iterator<Item = &str> {
        utf8_percent_encode(&self.0, ESCAPED)
    }
}

/// The decoder leaves a stray `%` as it is; here it is an error.
fn check_escapes(segment: &str) -> Result<(), ClientIdError> {
    let mut pieces = segment.split('%');
    pieces.next();
    for piece in pieces {
        match piece.as_bytes() {
            [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
            _ => return Err(ClientIdError::BadEscape),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_spellings_are_one_id() {
        let id = ClientId::parse("a%21").unwrap();
        assert_eq!(id, ClientId::parse("a!").unwrap());
        assert_eq!((id.as_str(), id.encoded().to_string().as_str()), ("a!", "a%21"));
    }

    #[test]
    fn one_spelling_is_canonical() {
        for (segment, encoded) in [
            ("Az09-._~", "Az09-._~"),
            ("%41%7e", "A~"),
            ("%c3%a4", "%C3%A4"),
            ("ä", "%C3%A4"),
            ("a:b@c;d=e&f+g", "a%3Ab%40c%3Bd%3De%26f%2Bg"),
            ("%3Fx%23y", "%3Fx%23y"),
            ("%252F", "%252F"),
            ("..\\x", "..%5Cx"),
            ("--", "--"),
            ("...", "..."),
        ] {
            assert_eq!(ClientId::parse(segment).unwrap().encoded().to_string(), encoded, "{segment}");
        }
    }

    #[test]
    fn what_is_no_id_is_told_apart() {
        use ClientIdError::*;
        for (segment, error) in [
            ("", Empty),
            ("-", Reserved),
            ("%2d", Reserved),
            (".", DotSegment),
            ("..", DotSegment),
            ("%2e.", DotSegment),
            ("a/b", Slash),
            ("a%2fb", Slash),
            ("a%00", Control),
            ("a\n", Control),
            ("%7F", Control),
            ("%C2%85", Control),
            ("%ff", NotUtf8),
            ("%C3", NotUtf8),
            ("%", BadEscape),
            ("a%2", BadEscape),
            ("%%41", BadEscape),
            ("%2g", BadEscape),
            ("%+1", BadEscape),
            ("%ä", BadEscape),
        ] {
            assert_eq!(ClientId::parse(segment), Err(error), "{segment:?}");
        }
    }

    #[test]
    fn the_decoded_text_has_a_longest_length() {
        assert!(ClientId::parse(&"%41".repeat(512)).is_ok());
        assert_eq!(ClientId::parse(&"a".repeat(513)), Err(ClientIdError::TooLong));
    }

    proptest! {
        #[test]
        fn the_canonical_spelling_means_the_same(segment in "\\PC{0,20}|(%[0-9a-fA-F]{2}|[ -~]){0,20}") {
            let Ok(id) = ClientId::parse(&segment) else { return Ok(()) };
            let encoded = id.encoded().to_string();
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(ClientId::parse(&encoded), Ok(id));
        }
    }
}
