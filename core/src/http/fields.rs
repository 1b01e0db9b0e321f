//! A header section, looked at byte by byte as it comes in. Trailers are one as well.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Refusal;

const MAX_FIELDS: usize = 100;
const MAX_SECTION: usize = 16 * 1024;

/// Where the search for the empty line that ends a header section stands.
#[derive(Clone, Debug)]
pub(super) struct FieldsScan {
    /// Where the section begins.
    pub(super) start: usize,
    /// All bytes before this one have been looked at.
    next: usize,
    /// Where the line begins that `next` is in.
    line: usize,
    fields: usize,
}

impl FieldsScan {
    /// A section that begins at `start`.
    pub(super) fn new(start: usize) -> Self {
        FieldsScan { start, next: start, line: start, fields: 0 }
    }

    /// Looks at what is new in `bytes`. Gives where the section ends, once its empty line is there.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        while let Some(&byte) = bytes.get(self.next) {
            let after_cr = self.next > self.line && bytes[self.next - 1] == b'\r';
            match byte {
                b'\n' if after_cr => {
                    let empty = self.next == self.line + 1;
                    self.next += 1;
                    self.line = self.next;
                    if empty {
                        return Ok(Some(self.next));
                    }
                }
                b'\n' => return Err(Refusal::bad("a header line ends in LF without CR")),
                _ if after_cr => return Err(Refusal::bad("a header has a CR without LF")),
                _ => {
                    self.check(byte)?;
                    self.next += 1;
                }
            }
        }
        Ok(None)
    }

    /// Refuses a byte that no good section has at `next`.
    fn check(&mut self, byte: u8) -> Result<(), Refusal> {
        let too_large = |message| Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
        let at_line_start = self.next == self.line;
        match byte {
            // The CR of the empty line at the end counts for nothing.
            b'\r' if at_line_start => return Ok(()),
            b' ' | b'\t' if at_line_start => {
                return Err(Refusal::bad("a header line begins with white space"));
            }
            b'\r' | b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return Err(Refusal::bad("a header has a control character")),
        }
        if at_line_start {
            self.fields += 1;
        }
        if self.fields > MAX_FIELDS {
            return too_large("over 100 headers");
        }
        if self.next - self.start >= MAX_SECTION {
            return too_large("over 16 KiB of headers");
        }
        Ok(())
    }
}

/// Reads a whole section, whose bytes [`FieldsScan::scan`] has seen.
pub(super) fn parse_fields(section: &[u8]) -> Result<HeaderMap, Refusal> {
    let malformed = || Refusal::bad("a header line is not of the form: name, colon, value");
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(section, &mut fields) else {
        return Err(malformed());
    };
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| malformed())?;
        headers.append(name, value);
    }
    Ok(headers)
}
