//! One listener for HTTP, as the master holds it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use gunmetal_supervise::{InheritedListener, Pinned, accept_with_data, take_inherited_listener};
use nix::sys::socket::{Backlog, listen};
use socket2::{Domain, Socket, Type};

use crate::listener::{BindError, SocketFile};
use crate::{BindAddress, Listener, MasterConfig, ServiceError};

/// A listener for HTTP. Workers get what [`for_worker`](Self::for_worker) gives.
#[derive(Debug)]
pub(crate) struct HttpListener {
    /// As it was configured; `None` for one that came without being asked for.
    address: Option<BindAddress>,
    socket: HttpSocket,
    file: Option<SocketFile>,
    scheme: &'static str,
}

#[derive(Debug)]
enum HttpSocket {
    /// All workers share it.
    Shared(Listener),
    /// Bound, but it does not listen: it reserves the address of the listeners that the workers get.
    Reserved {
        #[expect(dead_code, reason = "held for what it reserves")]
        socket: Socket,
        address: SocketAddr,
        backlog: i32,
    },
}

impl HttpListener {
    /// Binds what is configured, or takes over the descriptor that is named.
    pub(crate) fn open(address: &BindAddress, config: &MasterConfig) -> Result<Self, ServiceError> {
        let refused = |source| BindError::Refused { address: address.to_string(), source };
        let (socket, file) = match address {
            BindAddress::Tcp { host, port } => (tcp(host, *port, config).map_err(refused)?, None),
            BindAddress::Unix(path) => {
                let (listener, file) = SocketFile::bind(path).map_err(ServiceError::Bind)?;
                let opened = set_backlog(&listener, backlog(config))
                    .and_then(|()| config.processes.give_socket(path))
                    // Last: until then nobody else can connect.
                    .and_then(|()| Pinned::socket(path)?.set_mode(0o777 & !config.umask));
                if let Err(source) = opened {
                    file.remove();
                    return Err(refused(source).into());
                }
                (HttpSocket::Shared(Listener::Unix(listener)), Some(file))
            }
            BindAddress::Descriptor(number) => (inherited(*number, config)?, None),
        };
        Ok(Self { address: Some(address.clone()), socket, file, scheme: scheme(config) })
    }

    /// Takes over the socket of a descriptor that this process was started with.
    pub(crate) fn inherit(
        number: i32,
        address: Option<BindAddress>,
        keeper: FileKeeper,
        config: &MasterConfig,
    ) -> Result<Self, ServiceError> {
        let socket = inherited(number, config)?;
        let file = match (&socket, keeper) {
            (HttpSocket::Shared(Listener::Unix(listener)), FileKeeper::This) => SocketFile::of(listener),
            _ => None,
        };
        Ok(Self { address, socket, file, scheme: scheme(config) })
    }

    /// What it was configured as; `None` for one that came without being asked for.
    pub(crate) fn address(&self) -> Option<&BindAddress> {
        self.address.as_ref()
    }

    /// What a worker that is about to be forked gets: the shared listener, or one of its own.
    pub(crate) fn for_worker(&self) -> io::Result<Listener> {
        match &self.socket {
            HttpSocket::Shared(listener) => listener.try_clone(),
            HttpSocket::Reserved { address, backlog, .. } => {
                let socket = bound(*address, true)?;
                socket.listen(*backlog)?;
                Ok(Listener::Tcp(prepared(socket.into())?))
            }
        }
    }

    /// What an upgraded master may take over; nothing where workers have their own.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.socket {
            HttpSocket::Shared(listener) => Some(listener.as_fd()),
            HttpSocket::Reserved { .. } => None,
        }
    }

    /// Has another number of connections wait, from now on.
    pub(crate) fn set_backlog(&self, config: &MasterConfig) -> io::Result<()> {
        match &self.socket {
            HttpSocket::Shared(listener) => set_backlog(listener, backlog(config)),
            HttpSocket::Reserved { .. } => Ok(()),
        }
    }

    /// What the socket has in the file system, if this service is to remove it.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }
}

/// As gunicorn shows it: `http://127.0.0.1:8000`, `unix:/run/app.sock`.
impl fmt::Display for HttpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match &self.socket {
            HttpSocket::Reserved { address, .. } => Ok(*address),
            HttpSocket::Shared(Listener::Tcp(listener)) => listener.local_addr(),
            HttpSocket::Shared(Listener::Unix(listener)) => {
                let address = listener.local_addr().ok();
                return match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("unix:?"),
                };
            }
        };
        match address {
            Ok(address) => write!(f, "{}://{address}", self.scheme),
            Err(error) => write!(f, "{}://? ({error})", self.scheme),
        }
    }
}

/// Who removes the file of an inherited unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKeeper {
    /// This service, at its end.
    This,
    /// Whoever has made it.
    Another,
}

fn tcp(host: &str, port: u16, config: &MasterConfig) -> io::Result<HttpSocket> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs()? {
        match bound(address, config.reuse_port) {
            Ok(socket) if config.reuse_port => {
                let address = socket.local_addr()?.as_socket().unwrap_or(address);
                return Ok(HttpSocket::Reserved { socket, address, backlog: backlog(config) });
            }
            Ok(socket) => match socket.listen(backlog(config)) {
                Ok(()) => return Ok(HttpSocket::Shared(Listener::Tcp(prepared(socket.into())?))),
                Err(error) => refused = error,
            },
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bound(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn inherited(number: i32, config: &MasterConfig) -> Result<HttpSocket, ServiceError> {
    let refused = |source| BindError::Refused { address: format!("fd://{number}"), source };
    let listener = match take_inherited_listener(number, backlog(config))? {
        InheritedListener::Tcp(listener) => Listener::Tcp(prepared(listener).map_err(refused)?),
        InheritedListener::Unix(listener) => {
            listener.set_nonblocking(true).map_err(refused)?;
            Listener::Unix(listener)
        }
    };
    Ok(HttpSocket::Shared(listener))
}

fn prepared(listener: TcpListener) -> io::Result<TcpListener> {
    accept_with_data(&listener, FIRST_BYTES)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// On a socket that listens already this changes the length of its queue.
fn set_backlog(listener: &impl AsFd, backlog: i32) -> io::Result<()> {
    Ok(listen(&listener.as_fd(), Backlog::new(backlog).unwrap_or(Backlog::MAXCONN))?)
}

fn backlog(config: &MasterConfig) -> i32 {
    i32::try_from(config.backlog).unwrap_or(i32::MAX)
}

fn scheme(config: &MasterConfig) -> &'static str {
    if config.is_tls { "https" } else { "http" }
}

/// How long a client that has connected may take to ask before a worker accepts it. One that has accepted it and is then to
/// leave cannot wait for its request, and servers close such connections; until then all workers share it.
const FIRST_BYTES: Duration = Duration::from_secs(30);
