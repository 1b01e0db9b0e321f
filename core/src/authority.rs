//! The `host[:port]` that API addresses, origins, `Host` headers and absolute targets share.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host and perhaps a port, borrowed from the text they were written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// The host, an IPv6 address still in its brackets.
    pub(crate) host: &'a str,
    /// The port, if one is written (`host:` has none).
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`: a name, an IPv4 address or an IPv6 address in brackets. `None` if it is
    /// something else, such as one with user information.
    ///
    /// Percent escapes in names, which RFC 3986 allows, are refused: no name in DNS needs them.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let end_of_host = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(end_of_host);
        if !is_host(host) {
            return None;
        }
        let port = match port.strip_prefix(':') {
            Some("") => None,
            Some(digits) => Some(parse_port(digits)?),
            None if port.is_empty() => None,
            None => return None,
        };
        Some(Authority { host, port })
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name_byte) && !is_broken_ipv4(host),
    }
}

/// Unreserved or sub-delimiter (RFC 3986, section 3.2.2).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// Four numbers that are no address, such as `127.0.0.256`: certainly a slip, never a name.
fn is_broken_ipv4(host: &str) -> bool {
    let numbers = host.split('.').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    numbers.count() == 4 && host.split('.').count() == 4 && host.parse::<Ipv4Addr>().is_err()
}

fn parse_port(digits: &str) -> Option<u16> {
    // `u16::from_str` alone would take a sign.
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_ports() {
        for (text, host, port) in [
            ("example.org", "example.org", None),
            ("example.org:8000", "example.org", Some(8000)),
            ("example.org:", "example.org", None),
            ("a_b", "a_b", None),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("1.2.3", "1.2.3", None),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:65535", "[2001:db8::1]", Some(65535)),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn refuses_anything_else() {
        for text in [
            "",
            ":80",
            "a:b",
            "a:+1",
            "a:65536",
            "a:1:2",
            "a b",
            "a@b",
            "user:pw@a:1",
            "a/b",
            "a%20b",
            "ä",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]x:1",
            "[]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "127.0.0.256",
            "[",
            "]",
            "a]",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }
}
