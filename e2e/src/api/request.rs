//! A request as the API server saw it.

/// One request to the API.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its place in the order of arrival, from 0.
    pub order: u64,
    /// The number of the connection it came by, from 0.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// Path and query, as written.
    pub target: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Request {
    /// The path.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// What follows the question mark, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The client in question as written: the last segment of the path.
    pub fn client(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// The first header of this (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// All headers of this (lower case) name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(each, _)| each == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// `X-Connection-Id`; empty when it is missing.
    pub fn connection_id(&self) -> &str {
        self.header("x-connection-id").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
