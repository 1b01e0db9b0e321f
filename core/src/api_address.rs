//! Where the API server is, and the URI of one client there.

use std::fmt;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::ClientId;
use crate::authority::Authority;

/// Longest address, in bytes; leaves room for any id and query within what a [`Uri`] can hold.
const MAX_BYTES: usize = 2048;

/// What a [`Uri`] cannot hold in its query. Request heads are refused with any of them, so a
/// client's query goes along as it was; escaping makes [`ApiAddress::uri`] safe for any text.
const QUERY_ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The address of the API server: `http://host[:port][/base/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddress {
    scheme: Scheme,
    /// Without brackets.
    host: Box<str>,
    port: u16,
    authority: http::uri::Authority,
    host_header: HeaderValue,
    /// Begins and ends with a slash.
    base: Box<str>,
}

/// Why a text is no API address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiAddressError {
    /// No scheme, or another one than http and https.
    #[error("the API address {0:?} must begin with http:// or https://, as in http://localhost:8000/")]
    Scheme(String),
    /// User information (`user:password@`).
    #[error(
        "the API address must not have a user or password before the host; \
         send credentials with --api-header \"Authorization: ...\" instead"
    )]
    UserInfo,
    /// The host or the port is missing or malformed.
    #[error(
        "the API address {0:?} needs a host name, IPv4 address or IPv6 address in brackets, and after it \
         a port from 1 to 65535 or none, as in http://localhost:8000/ or http://[::1]:8000/"
    )]
    Host(String),
    /// A query (`?...`).
    #[error(
        "the API address {0:?} must not have a query: the ClientId is appended to its path, as in http://localhost:8000/ws/"
    )]
    Query(String),
    /// A fragment (`#...`).
    #[error("the API address {0:?} must not have a fragment (#...), as in http://localhost:8000/ws/")]
    Fragment(String),
    /// The path has a character that must be escaped.
    #[error(
        "the path of the API address {0:?} has a character that must be percent-encoded, as in http://localhost:8000/a%20b/"
    )]
    Path(String),
    /// The address is longer than 2048 bytes.
    #[error("the API address is longer than {MAX_BYTES} bytes; it should look like http://localhost:8000/")]
    TooLong,
}

impl ApiAddress {
    /// Reads an address. Its path is taken to end in a slash, written or not.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what a right address looks like.
    pub fn parse(text: &str) -> Result<Self, ApiAddressError> {
        if text.len() > MAX_BYTES {
            return Err(ApiAddressError::TooLong);
        }
        let (scheme, rest) = split_scheme(text).ok_or_else(|| ApiAddressError::Scheme(text.to_owned()))?;
        let end_of_authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end_of_authority);
        if authority.contains('@') {
            return Err(ApiAddressError::UserInfo);
        }
        match path.find(['?', '#']) {
            Some(at) if path[at..].starts_with('?') => return Err(ApiAddressError::Query(text.to_owned())),
            Some(_) => return Err(ApiAddressError::Fragment(text.to_owned())),
            None => {}
        }
        let bad_host = || ApiAddressError::Host(text.to_owned());
        let Authority { host, port } =
            Authority::parse(authority).filter(|a| a.port != Some(0)).ok_or_else(bad_host)?;
        let default_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = port.unwrap_or(default_port);
        let mut written = host.to_ascii_lowercase();
        let host = written.trim_start_matches('[').trim_end_matches(']').into();
        if port != default_port {
            written = format!("{written}:{port}");
        }
        let mut base = path.to_owned();
        if !base.ends_with('/') {
            base.push('/');
        }
        PathAndQuery::try_from(base.as_str()).map_err(|_| ApiAddressError::Path(text.to_owned()))?;
        Ok(ApiAddress {
            scheme,
            host,
            port,
            host_header: HeaderValue::try_from(&written).map_err(|_| bad_host())?,
            authority: http::uri::Authority::from_maybe_shared(Bytes::from(written)).map_err(|_| bad_host())?,
            base: base.into(),
        })
    }

    /// The absolute URI of a client at the API, with the client's query as it was.
    ///
    /// # Panics
    ///
    /// If the query, once escaped, is over 60 KiB: a request head cannot bring one.
    #[allow(clippy::expect_used)] // Each part has been checked: a failure is our bug.
    pub fn uri(&self, id: &ClientId, query: Option<&str>) -> Uri {
        // Filled exactly, the buffer becomes the URI's own without another allocation.
        let length = |piece: &str| piece.len();
        let query_length =
            query.map_or(0, |query| 1 + utf8_percent_encode(query, QUERY_ESCAPED).map(length).sum::<usize>());
        let mut path = String::with_capacity(self.base.len() + id.encoded().map(length).sum::<usize>() + query_length);
        path.push_str(&self.base);
        path.extend(id.encoded());
        if let Some(query) = query {
            path.push('?');
            path.extend(utf8_percent_encode(query, QUERY_ESCAPED));
        }
        let path = PathAndQuery::from_maybe_shared(Bytes::from(path));
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.expect("a checked base, an escaped id and an escaped query"));
        Uri::from_parts(parts).expect("all three parts are there")
    }

    /// The host to resolve, in lower case and without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's default if none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the API is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The `Host` header: with the port only if it is not the scheme's default.
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme.eq_ignore_ascii_case("http") {
        Some((Scheme::HTTP, rest))
    } else if scheme.eq_ignore_ascii_case("https") {
        Some((Scheme::HTTPS, rest))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(api: &str, id: &str, query: Option<&str>) -> String {
        ApiAddress::parse(api).unwrap().uri(&ClientId::parse(id).unwrap(), query).to_string()
    }

    #[test]
    fn an_id_is_appended_to_the_path() {
        for (api, expected) in [
            ("http://localhost:8000", "http://localhost:8000/a%21?q=1"),
            ("http://localhost:8000/", "http://localhost:8000/a%21?q=1"),
            ("HTTP://LocalHost:80/x", "http://localhost/x/a%21?q=1"),
            ("https://api.example/x/y/", "https://api.example/x/y/a%21?q=1"),
            ("https://api.example:80/", "https://api.example:80/a%21?q=1"),
            ("http://[::1]:8000/%20/", "http://[::1]:8000/%20/a%21?q=1"),
        ] {
            assert_eq!(uri(api, "a!", Some("q=1")), expected);
        }
    }

    #[test]
    fn a_query_goes_along_as_it_was() {
        let api = "http://localhost/";
        assert_eq!(uri(api, "a", None), "http://localhost/a");
        assert_eq!(uri(api, "a", Some("")), "http://localhost/a?");
        assert_eq!(uri(api, "a", Some("?a=%zz&b|{}[]^`\\'")), "http://localhost/a??a=%zz&b|{}[]^`\\'");
        assert_eq!(uri(api, "a", Some("#\" \n<ä>")), "http://localhost/a?%23%22%20%0A%3C%C3%A4%3E");
    }

    #[test]
    fn no_id_changes_path_or_query() {
        for id in ["a%3Fb", "a%23b", "..%5C", "%252F", "a;b", "%25"] {
            let address = uri("http://localhost/x/", id, None).parse::<Uri>().unwrap();
            assert_eq!((address.query(), address.path().matches('/').count()), (None, 2), "{id}");
        }
    }

    #[test]
    fn host_and_port_are_told() {
        for (text, host, port, https, header) in [
            ("http://LocalHost", "localhost", 80, false, "localhost"),
            ("https://a.b:443/", "a.b", 443, true, "a.b"),
            ("https://a.b:80/", "a.b", 80, true, "a.b:80"),
            ("http://[::1]/", "::1", 80, false, "[::1]"),
            ("http://[::1]:8000/", "::1", 8000, false, "[::1]:8000"),
            ("http://my_api:8000", "my_api", 8000, false, "my_api:8000"),
        ] {
            let api = ApiAddress::parse(text).unwrap();
            assert_eq!((api.host(), api.port(), api.is_https()), (host, port, https), "{text}");
            assert_eq!(api.host_header(), header, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_explained() {
        let long = format!("http://localhost/{}", "a".repeat(3000));
        for (text, hint) in [
            ("", "http://localhost:8000/"),
            ("localhost:8000", "must begin with http:// or https://"),
            ("ftp://localhost", "must begin with http:// or https://"),
            ("http:/localhost", "must begin with http:// or https://"),
            (" http://localhost", "must begin with http:// or https://"),
            ("http://", "needs a host"),
            ("http:///x", "needs a host"),
            ("http://:8000", "needs a host"),
            ("http://a b/", "needs a host"),
            ("http://a:port/", "needs a host"),
            ("http://a:0/", "needs a host"),
            ("http://a:65536/", "needs a host"),
            ("http://::1:8000/", "needs a host"),
            ("http://[::1/", "needs a host"),
            ("http://127.0.0.300/", "needs a host"),
            ("http://user:secret@a/", "--api-header"),
            ("http://a/?x", "query"),
            ("http://a?x#y", "query"),
            ("http://a/#x?y", "fragment"),
            ("http://a/b c", "percent-encoded"),
            (&long, "2048"),
        ] {
            let error = ApiAddress::parse(text).expect_err(text).to_string();
            assert!(error.contains(hint) && !error.contains("secret"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_explained(text in "(https?://)?([a-z0-9.:/%]|\\[|\\]|\\PC){0,20}") {
            if let Ok(api) = ApiAddress::parse(&text) {
                prop_assert_eq!(ApiAddress::parse(&api.to_string()), Ok(api.clone()));
                let uri = api.uri(&ClientId::parse("a").unwrap(), None);
                prop_assert_eq!(uri.to_string(), format!("{api}a"));
            }
        }

        #[test]
        fn any_query_makes_a_uri(query in any::<String>()) {
            let uri = ApiAddress::parse("http://a/").unwrap().uri(&ClientId::parse("a").unwrap(), Some(&query));
            prop_assert_eq!(uri.path(), "/a");
            prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
        }
    }
}
