//! What can be wrong with the files of TLS.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem;

/// The setting that names a file, and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// `certfile`.
    Certfile(PathBuf),
    /// `keyfile`.
    Keyfile(PathBuf),
}

impl TlsFile {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Certfile(path) | Self::Keyfile(path) => path,
        }
    }
}

impl fmt::Display for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certfile(path) => write!(f, "certfile {}", path.display()),
            Self::Keyfile(path) => write!(f, "keyfile {}", path.display()),
        }
    }
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no such file.
    #[error("{file} does not exist")]
    Missing {
        /// The file.
        file: TlsFile,
    },
    /// The user of this process may not read the file, or not enter its directory.
    #[error("{file} may not be read by the user that starts the service")]
    NotAllowed {
        /// The file.
        file: TlsFile,
    },
    /// Reading the file failed otherwise.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file.
        file: TlsFile,
        /// What the system says.
        source: io::Error,
    },
    /// A section of the file is not what PEM allows.
    #[error("{file} is not valid PEM")]
    BadPem {
        /// The file.
        file: TlsFile,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file has no certificate in it.
    #[error("{file} has no certificate (\"-----BEGIN CERTIFICATE-----\") in it")]
    NoCertificate {
        /// The file.
        file: TlsFile,
    },
    /// The file has no private key in it.
    #[error(
        "{file} has no private key (\"-----BEGIN PRIVATE KEY-----\", or \"RSA\" or \"EC PRIVATE KEY\") in it"
    )]
    NoKey {
        /// The file.
        file: TlsFile,
    },
    /// The private key is encrypted, and nobody is there to be asked for the password.
    #[error("the private key in {file} is encrypted: a service needs it without a password")]
    EncryptedKey {
        /// The file.
        file: TlsFile,
    },
    /// The certificate is none, or none that a server can have.
    #[error("the certificate in {file} cannot be used")]
    BadCertificate {
        /// The file.
        file: TlsFile,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The private key is of a kind that is not supported, or broken.
    #[error("the private key in {file} cannot be used")]
    BadKey {
        /// The file.
        file: TlsFile,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// Certificate and key have nothing to do with each other.
    #[error("the private key in {key} is not that of the certificate in {certificate}")]
    OtherKey {
        /// The certificate's file.
        certificate: TlsFile,
        /// The key's file.
        key: TlsFile,
    },
    /// The certificate was valid once.
    #[error("the certificate in {file} expired at {until}")]
    Expired {
        /// The file.
        file: TlsFile,
        /// The last second in which it was valid.
        until: String,
    },
    /// The certificate will be valid later, or the clock of the machine is slow.
    #[error("the certificate in {file} is valid from {from} on, and it is {today}")]
    NotYetValid {
        /// The file.
        file: TlsFile,
        /// The first second in which it is valid.
        from: String,
        /// The time of the machine.
        today: String,
    },
    /// The cryptography cannot be set up.
    #[error("TLS cannot be set up")]
    Refused(#[source] rustls::Error),
}
