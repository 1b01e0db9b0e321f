//! Which web pages may connect (`--origin`; contract, section 3).

use crate::authority::Authority;

/// One `--origin`: `*`, an origin such as `https://example.com`, or all subdomains of one, as in
/// `https://*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// Any origin, as long as there is one.
    Any,
    /// This very origin.
    Exact(Origin),
    /// Hosts that end in a dot and this host.
    Subdomains(Origin),
}

/// In lower case, the scheme's default port left out, as browsers write it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// A text is no origin pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: write scheme://host or scheme://host:port without a path (https://example.com), \
     https://*.example.com for all its subdomains, or * for any"
)]
pub struct OriginPatternError(String);

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// If it has none of the three forms, for example because of a path or a `*` elsewhere.
    pub fn parse(text: &str) -> Result<Self, OriginPatternError> {
        if text == "*" {
            return Ok(OriginPattern(Pattern::Any));
        }
        let bad = || OriginPatternError(text.to_owned());
        let mut origin = Origin::parse(text).ok_or_else(bad)?;
        let suffix = origin.host.strip_prefix("*.").map(str::to_owned);
        let pattern = match suffix {
            Some(suffix) => {
                origin.host = suffix;
                Pattern::Subdomains(origin)
            }
            None => Pattern::Exact(origin),
        };
        match &pattern {
            Pattern::Exact(origin) | Pattern::Subdomains(origin) if !is_plain_host(&origin.host) => Err(bad()),
            Pattern::Any | Pattern::Exact(_) | Pattern::Subdomains(_) => Ok(OriginPattern(pattern)),
        }
    }

    /// Whether a client with this `Origin` header may connect.
    pub fn matches(&self, origin: &str) -> bool {
        let wanted = match &self.0 {
            Pattern::Any => return true,
            Pattern::Exact(wanted) | Pattern::Subdomains(wanted) => wanted,
        };
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        let host_matches = match &self.0 {
            Pattern::Subdomains(_) => is_subdomain(&origin.host, &wanted.host),
            Pattern::Any | Pattern::Exact(_) => origin.host == wanted.host,
        };
        host_matches && origin.scheme == wanted.scheme && origin.port == wanted.port
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_byte) {
            return None;
        }
        let Authority { host, port } = Authority::parse(authority)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = port.filter(|&port| Some(port) != default_port);
        Some(Origin { scheme, host: host.to_ascii_lowercase(), port })
    }
}

/// No wildcard inside, and something before every dot.
fn is_plain_host(host: &str) -> bool {
    !host.is_empty() && !host.contains('*') && !host.starts_with('.')
}

/// `host` is at least one label and a dot before `parent`.
fn is_subdomain(host: &str, parent: &str) -> bool {
    let labels = host.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.'));
    labels.is_some_and(|labels| !labels.is_empty() && !labels.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        OriginPattern::parse(pattern).unwrap().matches(origin)
    }

    #[test]
    fn an_origin_matches_itself_however_it_is_spelled() {
        for (pattern, origin) in [
            ("https://example.com", "https://example.com"),
            ("HTTPS://Example.COM", "https://example.com"),
            ("https://example.com", "https://EXAMPLE.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com", "http://example.com:80"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            assert!(matches(pattern, origin), "{pattern} {origin}");
        }
    }

    #[test]
    fn another_origin_does_not_match() {
        for origin in [
            "http://example.com",
            "https://example.com:8443",
            "https://example.com.evil.org",
            "https://evil.org/https://example.com",
            "https://www.example.com",
            "https://example.com/",
            "https://user@example.com",
            "https://example.com https://evil.org",
            "example.com",
            "null",
            "",
        ] {
            assert!(!matches("https://example.com", origin), "{origin}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_at_least_one_label() {
        for origin in ["https://a.example.com", "https://a.b.Example.com", "https://a.example.com:443"] {
            assert!(matches("https://*.example.com", origin), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://..example.com",
            "https://badexample.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://a.example.com.evil.org",
            "https://evil.org/.example.com",
            "https://evil.org?.example.com",
            "https://evil.org#.example.com",
            "https://evil.org\\.example.com",
        ] {
            assert!(!matches("https://*.example.com", origin), "{origin}");
        }
        assert!(matches("https://*.example.com:8443", "https://a.example.com:8443"));
    }

    #[test]
    fn a_star_takes_any_origin() {
        for origin in ["https://example.com", "null"] {
            assert!(matches("*", origin));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/a",
            "https://*",
            "https://*.",
            "https://a*.example.com",
            "https://*.*.com",
            "https://a.*.com",
            "*://example.com",
            "https://.example.com",
            "https://example.com:port",
            "https://user@example.com",
            " https://example.com",
            "**",
        ] {
            let error = OriginPattern::parse(text).expect_err(text).to_string();
            assert!(error.contains("https://*.example.com"), "{error}");
        }
    }
}
