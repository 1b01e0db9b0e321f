//! An API by `https`: certificates made for the test, and what takes TLS off in front of the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How many authorities there were in this process, which names their files.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// Who signs certificates. Its own one is in a file that goes with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

/// A certificate with its key.
pub struct Certificate {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new one, which nobody knows.
    ///
    /// # Panics
    /// When its file cannot be written.
    pub fn found() -> Authority {
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let file = std::env::temp_dir().join(format!("ws2http-e2e-{}-authority-{number}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).expect("write the authority's certificate");
        Authority { issuer, file }
    }

    /// What has a gateway trust this authority and no other.
    ///
    /// # Panics
    /// When the place for temporary files has no name in Unicode.
    pub fn trusted(&self) -> (String, String) {
        ("SSL_CERT_FILE".to_owned(), self.file.to_str().expect("a name in Unicode").to_owned())
    }

    /// A certificate for the server of this name that is valid until the end of that year.
    ///
    /// # Panics
    /// When the name is none.
    pub fn certificate(&self, name: &str, year: i32) -> Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = key();
        let der = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        Certificate { der, key }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // A leftover file in the temporary place harms nobody.
        let _ = std::fs::remove_file(&self.file);
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// What takes TLS off and hands on to the API. Ends when dropped.
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    api: SocketAddr,
    config: Mutex<Arc<ServerConfig>>,
    served: AtomicUsize,
    open: Mutex<Vec<AbortHandle>>,
}

impl Front {
    /// Listens on a free port, with this certificate.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(certificate: Certificate, api: SocketAddr) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let config = Mutex::new(config(certificate));
        let shared = Arc::new(Shared { api, config, served: AtomicUsize::new(0), open: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Front { address, shared, accepting }
    }

    /// From now on uses this certificate, and ends all connections.
    ///
    /// # Panics
    /// When the certificate and its key are of no use.
    pub fn use_instead(&self, certificate: Certificate) {
        *self.shared.config.lock().unwrap() = config(certificate);
        self.shared.open.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }

    /// How many connections were so trusted that something was sent by them.
    pub fn served(&self) -> usize {
        self.shared.served.load(Ordering::Relaxed)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.open.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }
}

fn config(certificate: Certificate) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(certificate.key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions of TLS").with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate.der], key).expect("a certificate with its key");
    config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    Arc::new(config)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Out of descriptors is the one error to expect here; the next accept waits for one.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let task = tokio::spawn(serve(stream, shared.clone()));
        let mut open = shared.open.lock().unwrap();
        open.retain(|task| !task.is_finished());
        open.push(task.abort_handle());
    }
}

/// One connection. A gateway that does not trust it ends it, which is what is tested.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let acceptor = TlsAcceptor::from(shared.config.lock().unwrap().clone());
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    // A client by TLS 1.3 may refuse the certificate only after this side's part is done.
    let mut first = [0];
    let Ok(1..) = tokio::io::AsyncReadExt::read(&mut stream, &mut first).await else { return };
    shared.served.fetch_add(1, Ordering::Relaxed);
    let Ok(mut api) = TcpStream::connect(shared.api).await else { return };
    if tokio::io::AsyncWriteExt::write_all(&mut api, &first).await.is_ok() {
        // However it ends, it has ended.
        let _ = copy_bidirectional(&mut stream, &mut api).await;
    }
}
