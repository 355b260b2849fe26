//! TLS of the server itself: the certificate, the listener that speaks it, and reading it anew.
//!
//! Lives here: rustls. May not: routes, what a request may do. Invariants: TLS 1.2 or later; a certificate that cannot be used
//! never takes the place of one that can; a connection that is open stays open when the certificate changes.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::serve::Listener;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_mins(1);
/// How long a client may take to agree on a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that are agreed on at a time.
const AT_ONCE: usize = 512;

/// Where the certificate and its key lie, as PEM.
#[derive(Clone, Debug)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read ({}); {} names a PEM file that this user may read", .0.display(), .2.kind(), .1)]
    Unreadable(PathBuf, &'static str, io::Error),
    #[error("{} holds no certificate; it must be PEM, the server's own first, then those that vouch for it", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key; it must be PEM and not encrypted", .0.display())]
    NoKey(PathBuf),
    #[error("the key in {} does not belong to the certificate in {}; give the two that were made together", .0.key.display(), .0.cert.display())]
    OtherKey(Files),
    #[error("the certificate in {} cannot be used: {}", .0.display(), .1)]
    Unusable(PathBuf, rustls::Error),
}

/// The certificate that is shown now, and where the next one comes from.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    current: Arc<Current>,
    /// Of what was read last, whether it could be used or not.
    read: [u8; 32],
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// # Errors
    /// Where the files cannot be read or do not belong together.
    pub async fn open(files: Files) -> Result<Self, TlsError> {
        let (cert, key) = files.read().await?;
        let pair = files.pair(&cert, &key)?;
        Ok(Self { read: mark(&cert, &key), current: Arc::new(Current(RwLock::new(Arc::new(pair)))), files })
    }

    /// Looks at the files again: each minute, and at once on SIGHUP. It does not end.
    pub async fn keep(mut self) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let found = self.files.read().await.and_then(|(cert, key)| {
            let read = mark(&cert, &key);
            let new = std::mem::replace(&mut self.read, read) != read;
            if new { self.files.pair(&cert, &key).map(Some) } else { Ok(None) }
        });
        match found {
            Ok(None) => {}
            Ok(Some(pair)) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!(file = %self.files.cert.display(), "the certificate was read anew");
            }
            Err(e) => tracing::warn!(error = %e, "the certificate was not read anew; the one before stays in use"),
        }
    }

    fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Speaks TLS on a socket.
    ///
    /// # Errors
    /// Where the socket has no address, or the library cannot do what is asked of it.
    pub fn listen(&self, socket: TcpListener) -> io::Result<Connections> {
        let acceptor = TlsAcceptor::from(Arc::new(self.config().map_err(io::Error::other)?));
        let address = socket.local_addr()?;
        let (agreed, ready) = mpsc::channel(AT_ONCE);
        let task = tokio::spawn(agree(socket, acceptor, agreed));
        Ok(Connections { ready, address, task })
    }
}

impl Files {
    async fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let read = async |path: &Path, option: &'static str| tokio::fs::read(path).await.map_err(|e| TlsError::Unreadable(path.to_owned(), option, e));
        Ok((read(&self.cert, "--tls-cert").await?, read(&self.key, "--tls-key").await?))
    }

    fn pair(&self, cert: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
        let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>().unwrap_or_default();
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(self.cert.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey(self.clone()),
            other => TlsError::Unusable(self.cert.clone(), other),
        })
    }
}

fn mark(cert: &[u8], key: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update((cert.len() as u64).to_be_bytes()).chain_update(cert).chain_update(key).finalize().into()
}

/// Connections that speak TLS, ready to be answered.
#[derive(Debug)]
pub struct Connections {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener for Connections {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Agrees on connections beside one another, so that none waits for a slow one.
async fn agree(mut socket: TcpListener, acceptor: TlsAcceptor, agreed: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, address) = Listener::accept(&mut socket).await;
        let (acceptor, agreed) = (acceptor.clone(), agreed.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                // The server stops where nobody takes it.
                Ok(Ok(stream)) => drop(agreed.send((stream, address)).await),
                Ok(Err(e)) => tracing::debug!(from = %address.ip(), error = %e, "no TLS connection"),
                Err(_) => tracing::debug!(from = %address.ip(), "no TLS connection within 10 s"),
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a pair; the certificate as it is sent.
    fn write(files: &Files) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.current.0.read().unwrap().cert[0].to_vec()
    }

    #[tokio::test]
    async fn what_changed_is_shown_and_what_cannot_be_used_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let first = write(&files);
        let mut certificate = Certificate::open(files.clone()).await.unwrap();
        assert_eq!(shown(&certificate), first);
        let second = write(&files);
        assert_eq!(shown(&certificate), first, "nobody has looked yet");
        certificate.look().await;
        assert_eq!(shown(&certificate), second);
        // The key is written first and the certificate a moment later: between the two they do not belong together.
        let before = std::fs::read(&files.cert).unwrap();
        let third = write(&files);
        let after = std::fs::read(&files.cert).unwrap();
        std::fs::write(&files.cert, before).unwrap();
        certificate.look().await;
        assert_eq!(shown(&certificate), second);
        std::fs::write(&files.cert, after).unwrap();
        certificate.look().await;
        assert_eq!(shown(&certificate), third);
        std::fs::remove_file(&files.key).unwrap();
        certificate.look().await;
        assert_eq!(shown(&certificate), third);
    }
}
