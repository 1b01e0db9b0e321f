//! What it takes to call an API by `https`.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use ws2http_core::ApiAddress;

use crate::stream::ApiStream;

/// How the API is reached by `https`: certificates of the system, and the name to check.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// What is to be spoken over it, as ALPN names it.
    protocol: &'static str,
}

impl Tls {
    /// What is needed for this API; `None` for plain `http`.
    ///
    /// # Errors
    ///
    /// When the system has no certificates to trust, or the API's host is no name that a certificate
    /// could be for; the text names the flag.
    pub fn for_api(api: &ApiAddress, http2: bool, crypto: CryptoProvider) -> io::Result<Option<Tls>> {
        if !api.is_https() {
            return Ok(None);
        }
        let name = ServerName::try_from(api.host().to_owned())
            .map_err(|error| io::Error::other(format!("--api: {} is no name for TLS: {error}", api.host())))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(crypto))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(trusted()?)
            .with_no_client_auth();
        let protocol = if http2 { "h2" } else { "http/1.1" };
        config.alpn_protocols = vec![protocol.into()];
        Ok(Some(Tls { connector: TlsConnector::from(Arc::new(config)), name, protocol }))
    }

    /// Begins TLS on a connection. It may take as long as it likes.
    ///
    /// # Errors
    ///
    /// What is wrong with the API's certificate, or its TLS.
    pub async fn connect<S>(&self, stream: S) -> Result<ApiStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (name, protocol) = (self.name.clone(), self.protocol);
        match self.connector.connect(name, stream).await {
            Ok(stream) => Ok(ApiStream::Tls(Box::new(stream))),
            Err(error) => Err(format!("TLS with {} for {protocol}: {error}", self.name.to_str())),
        }
    }
}

/// The certificates that the system trusts.
fn trusted() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    Err(io::Error::other(format!(
        "--api with https needs the system's CA certificates (package ca-certificates, or \
         SSL_CERT_FILE), but none were found {}",
        errors.join("; ")
    )))
}
