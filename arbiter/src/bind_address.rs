//! Where an HTTP listener is to be bound: `host:port`, `[v6]:port`, `unix:/path` or `fd://N`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An address as it stands in the `bind` setting; parsed, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// A TCP port on a host name or address. Port 0 lets the kernel choose.
    Tcp {
        /// Host name, IPv4 address, or IPv6 address without brackets.
        host: String,
        /// Port; 8000 where the text names none, as in gunicorn.
        port: u16,
    },
    /// A unix socket at a path.
    Unix(PathBuf),
    /// A socket that the service was started with, by the number of its descriptor.
    Descriptor(i32),
}

/// What [`BindAddress`] accepts, for error messages.
pub const BIND_ADDRESS_FORMS: &str = "\"host:port\", \"[ipv6]:port\", \"unix:/path\" or \"fd://N\"";

/// Why a text is no bind address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindAddressError {
    /// The text is empty, or has no host before the port.
    #[error("no host in {0:?}")]
    NoHost(String),
    /// `unix:` without a path.
    #[error("no path after \"unix:\"")]
    NoPath,
    /// A URL of something that is no address to bind.
    #[error("{0:?} is a URL, not an address")]
    Url(String),
    /// Digits without a colon before them.
    #[error("{0:?} is a port without a host: \":{0}\" is this port on every interface")]
    PortAlone(String),
    /// What stands behind `fd://` is no descriptor that could be a socket.
    #[error("descriptor {0:?} is not a number from 3 on")]
    BadDescriptor(String),
    /// The part after the last colon is no port.
    #[error("port {0:?} is not a number from 0 to 65535")]
    BadPort(String),
    /// An IPv6 address is not closed, or followed by something that is no port.
    #[error("IPv6 address in {0:?} must be written [address]:port")]
    BadV6(String),
}

impl FromStr for BindAddress {
    type Err = BindAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            // Both `unix:/run/x.sock` and the URL form `unix:///run/x.sock` are in use.
            let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
            return if path.is_empty() { Err(BindAddressError::NoPath) } else { Ok(Self::Unix(path.into())) };
        }
        if let Some(number) = text.strip_prefix("fd://") {
            let descriptor = number.parse().ok().filter(|number| *number > 2);
            let bad = || BindAddressError::BadDescriptor(number.to_owned());
            return descriptor.map(Self::Descriptor).ok_or_else(bad);
        }
        // As gunicorn takes it.
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        if text.contains("://") {
            return Err(BindAddressError::Url(text.to_owned()));
        }
        if text.parse::<u16>().is_ok() {
            return Err(BindAddressError::PortAlone(text.to_owned()));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let bad = || BindAddressError::BadV6(text.to_owned());
            let (host, tail) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            match tail {
                "" => (host, None),
                _ => (host, Some(tail.strip_prefix(':').ok_or_else(bad)?)),
            }
        } else {
            match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return Err(BindAddressError::BadV6(text.to_owned()));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        // gunicorn takes ":8000" for every interface.
        let host = match (host, port) {
            ("", None) => return Err(BindAddressError::NoHost(text.to_owned())),
            ("", Some(_)) => "0.0.0.0",
            (host, _) => host,
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().map_err(|_| BindAddressError::BadPort(port.to_owned()))?,
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(f, "fd://{number}"),
        }
    }
}

const DEFAULT_PORT: u16 = 8000;

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Result<BindAddress, BindAddressError> {
        Ok(BindAddress::Tcp { host: host.into(), port })
    }

    #[test]
    fn every_form_of_the_setting_is_understood() {
        let parse = str::parse::<BindAddress>;
        assert_eq!(parse("127.0.0.1:8000"), tcp("127.0.0.1", 8000));
        assert_eq!(parse("localhost"), tcp("localhost", 8000));
        assert_eq!(parse("tcp://localhost:80"), tcp("localhost", 80));
        assert_eq!(parse(":0"), tcp("0.0.0.0", 0));
        assert_eq!(parse("[::1]:80"), tcp("::1", 80));
        assert_eq!(parse("[::]"), tcp("::", 8000));
        assert_eq!(parse("unix:/run/app.sock"), Ok(BindAddress::Unix("/run/app.sock".into())));
        assert_eq!(parse("unix:///run/app.sock"), Ok(BindAddress::Unix("/run/app.sock".into())));
        assert_eq!(parse("fd://3"), Ok(BindAddress::Descriptor(3)));
    }

    #[test]
    fn a_bad_address_says_what_is_wrong_with_it() {
        let parse = |text: &str| text.parse::<BindAddress>().unwrap_err();
        assert_eq!(parse("localhost:http"), BindAddressError::BadPort("http".into()));
        assert_eq!(parse("localhost:70000"), BindAddressError::BadPort("70000".into()));
        assert_eq!(parse("::1:80"), BindAddressError::BadV6("::1:80".into()));
        assert_eq!(parse("[::1"), BindAddressError::BadV6("[::1".into()));
        assert_eq!(parse("unix:"), BindAddressError::NoPath);
        assert_eq!(parse("fd://2"), BindAddressError::BadDescriptor("2".into()));
        assert_eq!(parse("http://here:80"), BindAddressError::Url("http://here:80".into()));
        assert_eq!(parse("8000"), BindAddressError::PortAlone("8000".into()));
        assert_eq!(parse("fd://x"), BindAddressError::BadDescriptor("x".into()));
        assert_eq!(parse(""), BindAddressError::NoHost(String::new()));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["127.0.0.1:1", "[::1]:2", "unix:/a/b", "fd://7"] {
            assert_eq!(text.parse::<BindAddress>().unwrap().to_string(), text);
        }
    }
}
