//! The listeners for HTTP: where they come from, and what a reload keeps of them.

use std::io;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::handed_over::HandedOver;
use crate::http_listener::{FileKeeper, HttpListener};
use crate::listener::{BindError, SocketFile};
use crate::{BindAddress, Listener, MasterConfig, ServiceError};

/// The listeners for HTTP of one configuration. Clones share their sockets.
#[derive(Clone, Debug)]
pub(crate) struct HttpListeners {
    listeners: Vec<Rc<HttpListener>>,
    source: Source,
}

/// Who decides what there is to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The `bind` setting.
    Configured,
    /// systemd, whatever `bind` says.
    Activated,
    /// Whoever has set `GUNICORN_FD` and did not say what they were bound to, whatever `bind` says.
    Handed,
}

impl HttpListeners {
    /// None: of a service that is stopping.
    pub(crate) fn none() -> Self {
        Self { listeners: Vec::new(), source: Source::Configured }
    }

    /// Opens the listeners of a service that starts: those that systemd or another master has opened for it, otherwise what is
    /// configured. A port that is still taken is tried for a moment: who had it may just be ending.
    pub(crate) fn open(config: &MasterConfig, handed: &HandedOver) -> Result<Self, ServiceError> {
        if handed.activated_count > 0 {
            let numbers = FIRST_ACTIVATED..FIRST_ACTIVATED + handed.activated_count;
            let numbers = numbers.map(|number| (number, FileKeeper::Another));
            return Self::inherit(Source::Activated, numbers, config);
        }
        if handed.listeners.iter().any(|(_, address)| address.is_none()) {
            let numbers = handed.listeners.iter().map(|(number, _)| (*number, FileKeeper::This));
            return Self::inherit(Source::Handed, numbers, config);
        }
        let mut handed = handed.listeners.clone();
        let mut opened = Self { listeners: Vec::new(), source: Source::Configured };
        for address in &config.bind {
            let known = handed.iter().position(|(_, bound)| bound.as_ref() == Some(address));
            let listener = match known.map(|at| handed.remove(at)) {
                Some((number, address)) => {
                    let keeper = match &address {
                        // Whoever has opened it may open it to another service after this one.
                        Some(BindAddress::Descriptor(_)) => FileKeeper::Another,
                        _ => FileKeeper::This,
                    };
                    HttpListener::inherit(number, address, keeper, config)
                }
                None => open_patiently(address, config),
            };
            match listener {
                Ok(listener) => opened.listeners.push(Rc::new(listener)),
                Err(error) => {
                    opened.abandon();
                    return Err(error);
                }
            }
        }
        for (number, address) in handed {
            let address = address.map_or_else(|| "?".to_owned(), |address| address.to_string());
            tracing::info!("No longer listening at: {address}");
            // Closed by being dropped.
            drop(HttpListener::inherit(number, None, FileKeeper::Another, config));
        }
        Ok(opened)
    }

    fn inherit(
        source: Source,
        numbers: impl Iterator<Item = (i32, FileKeeper)>,
        config: &MasterConfig,
    ) -> Result<Self, ServiceError> {
        let (mut listeners, mut taken) = (Vec::new(), Vec::new());
        for (number, keeper) in numbers {
            taken.push(number);
            listeners.push(Rc::new(HttpListener::inherit(number, None, keeper, config)?));
        }
        // gunicorn serves descriptors that are configured beside the others, and no addresses.
        for address in &config.bind {
            if matches!(address, BindAddress::Descriptor(number) if !taken.contains(number)) {
                listeners.push(Rc::new(HttpListener::open(address, config)?));
            }
        }
        Ok(Self { listeners, source })
    }

    /// The listeners of another configuration: those that are in both are kept, the others opened. Nothing is closed yet.
    ///
    /// # Errors
    ///
    /// Why one could not be opened. What was opened is closed again.
    pub(crate) fn reopen(&self, old: &MasterConfig, new: &MasterConfig) -> Result<Self, ServiceError> {
        if self.source != Source::Configured {
            return Ok(self.clone());
        }
        if new.http.is_none() {
            return Ok(Self::none());
        }
        let mut left = if old.reuse_port == new.reuse_port { self.listeners.clone() } else { Vec::new() };
        let mut reopened = Self { listeners: Vec::new(), source: self.source };
        for address in &new.bind {
            let kept = left.iter().position(|listener| listener.address() == Some(address));
            let listener = match kept {
                Some(at) => Ok(left.remove(at)),
                None => HttpListener::open(address, new).map(Rc::new),
            };
            match listener {
                Ok(listener) => reopened.listeners.push(listener),
                Err(error) => {
                    reopened.remove_files_unless_in(self);
                    return Err(error);
                }
            }
        }
        Ok(reopened)
    }

    /// Has the configured number of connections wait.
    pub(crate) fn set_backlog(&self, config: &MasterConfig) {
        for listener in &self.listeners {
            if let Err(error) = listener.set_backlog(config) {
                tracing::warn!(%error, "backlog of {listener} cannot be changed");
            }
        }
    }

    /// What a worker that is about to be forked gets.
    pub(crate) fn for_worker(&self) -> io::Result<Vec<Listener>> {
        self.listeners.iter().map(|listener| listener.for_worker()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HttpListener> {
        self.listeners.iter().map(Rc::as_ref)
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Those that `other` has not.
    pub(crate) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a HttpListener> {
        let is_in_other =
            |listener: &Rc<HttpListener>| other.listeners.iter().any(|kept| Rc::ptr_eq(kept, listener));
        self.listeners.iter().filter(move |listener| !is_in_other(listener)).map(Rc::as_ref)
    }

    /// What the sockets have in the file system.
    pub(crate) fn files(&self) -> impl Iterator<Item = &SocketFile> {
        self.iter().filter_map(HttpListener::file)
    }

    /// Closes them, at a start that fails. What they have in the file system stays where another master listens.
    pub(crate) fn abandon(self) {
        let files: Vec<SocketFile> = self.files().cloned().collect();
        drop(self);
        files.iter().for_each(SocketFile::remove_if_deserted);
    }

    /// What those have in the file system that `other` has not.
    pub(crate) fn files_unless_in(&self, other: &Self) -> Vec<SocketFile> {
        self.without(other).filter_map(HttpListener::file).cloned().collect()
    }

    /// Removes what those have in the file system that `other` has not.
    pub(crate) fn remove_files_unless_in(&self, other: &Self) {
        self.without(other).filter_map(HttpListener::file).for_each(SocketFile::remove);
    }
}

fn open_patiently(address: &BindAddress, config: &MasterConfig) -> Result<HttpListener, ServiceError> {
    let until = Instant::now() + PATIENCE;
    let mut is_told = false;
    loop {
        match HttpListener::open(address, config) {
            Err(ServiceError::Bind(BindError::Refused { ref source, .. }))
                if source.kind() == io::ErrorKind::AddrInUse && Instant::now() < until =>
            {
                if !is_told {
                    tracing::error!("Connection in use: {address}");
                    is_told = true;
                }
                thread::sleep(LOOK_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

/// SD_LISTEN_FDS_START in sd_listen_fds(3).
const FIRST_ACTIVATED: i32 = 3;
/// What the last processes of a service that was killed may take to be gone, and more.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
