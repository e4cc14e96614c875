//! The certificate and the private key of the HTTP listeners.
//!
//! A service does this by itself with its `certfile` and `keyfile`; see [`HttpWorker::tls`](crate::HttpWorker::tls) for what
//! its workers get.

mod error;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};

pub use error::{TlsError, TlsFile};

/// Loads a certificate chain and its private key, both PEM, and makes of them what a TLS server needs. Without `keyfile` the
/// key is looked for in `certfile`.
///
/// The key may be PKCS#8, PKCS#1 or SEC1, and must be the certificate's, which must be valid today. Clients may choose TLS 1.2
/// or 1.3, and HTTP/1.1 or HTTP/2 (ALPN). Tickets for resumed sessions are made with keys that processes forked from this one
/// share, so that any worker takes up a session that another one began.
///
/// # Errors
/// What is wrong with which file.
pub fn load(certfile: &Path, keyfile: Option<&Path>) -> Result<Arc<ServerConfig>, TlsError> {
    load_at(certfile, keyfile, SystemTime::now())
}

fn load_at(certfile: &Path, keyfile: Option<&Path>, now: SystemTime) -> Result<Arc<ServerConfig>, TlsError> {
    let certificate_file = TlsFile::Certfile(certfile.to_owned());
    let text = read(&certificate_file)?;
    let chain = certificates(&text, &certificate_file)?;
    let (key_file, key_text) = match keyfile {
        Some(path) => {
            let file = TlsFile::Keyfile(path.to_owned());
            let text = read(&file)?;
            (file, text)
        }
        None => (certificate_file.clone(), text),
    };
    let key = private_key(&key_text, &key_file)?;
    check_dates(&chain[0], &certificate_file, now)?;

    let provider = Arc::new(ring::default_provider());
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|source| TlsError::BadKey { file: key_file.clone(), source })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // A key that does not tell its public half is not one of ours to judge.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(TlsError::OtherKey { certificate: certificate_file, key: key_file });
        }
        Err(error) => {
            return Err(TlsError::BadCertificate { file: certificate_file, source: error.into() });
        }
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Refused)?;
    // A ticketer takes no ticket longer than those that it has made itself. Workers are to take each other's from their first
    // connection on, and inherit this.
    let _ = config.ticketer.encrypt(&[0; TICKET_LEN]);
    Ok(Arc::new(config))
}

fn read(file: &TlsFile) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file.path()).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TlsError::Missing { file: file.clone() },
        io::ErrorKind::PermissionDenied => TlsError::NotAllowed { file: file.clone() },
        _ => TlsError::Unreadable { file: file.clone(), source },
    })
}

fn certificates(text: &[u8], file: &TlsFile) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|source| TlsError::BadPem { file: file.clone(), source })?;
    if chain.is_empty() { Err(TlsError::NoCertificate { file: file.clone() }) } else { Ok(chain) }
}

fn private_key(text: &[u8], file: &TlsFile) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|source| match source {
        _ if is_encrypted(text) => TlsError::EncryptedKey { file: file.clone() },
        pem::Error::NoItemsFound => TlsError::NoKey { file: file.clone() },
        source => TlsError::BadPem { file: file.clone(), source },
    })
}

/// Whether a key is encrypted: PKCS#8 says so in its label, the older forms in a header of RFC 1421.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |words: &[u8]| text.windows(words.len()).any(|window| window == words);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// Only the first certificate is ours. Chains may end in one that has expired, and clients know better ones.
fn check_dates(certificate: &CertificateDer<'_>, file: &TlsFile, now: SystemTime) -> Result<(), TlsError> {
    let parsed = Certificate::from_der(certificate)
        .map_err(|source| TlsError::BadCertificate { file: file.clone(), source: source.into() })?;
    let validity = parsed.tbs_certificate.validity;
    let (from, until) = (validity.not_before.to_date_time(), validity.not_after.to_date_time());
    let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    if now > until.unix_duration() {
        return Err(TlsError::Expired { file: file.clone(), until: until.to_string() });
    }
    if now < from.unix_duration() {
        let today = DateTime::from_unix_duration(Duration::from_secs(now.as_secs()))
            .map_or_else(|_| "another time".to_owned(), |today| today.to_string());
        return Err(TlsError::NotYetValid { file: file.clone(), from: from.to_string(), today });
    }
    Ok(())
}

/// More than a session has to remember: mostly the name that the client asked for, of 255 bytes at most.
const TICKET_LEN: usize = 1024;

#[cfg(test)]
mod tests;
