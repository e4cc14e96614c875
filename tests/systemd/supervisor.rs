//! Stands in for systemd: the socket that `NOTIFY_SOCKET` names.

use std::cell::{Cell, RefCell};
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg, setsockopt, sockopt,
};

use crate::support::PATIENCE;

/// Reads notices, and believes whom systemd would believe.
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    address: String,
    access: Access,
    main: Cell<u32>,
    refused: RefCell<Vec<Notice>>,
    _directory: tempfile::TempDir,
}

/// `NotifyAccess=` of a unit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Main,
    All,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) from: u32,
    pub(crate) lines: Vec<String>,
}

impl Supervisor {
    /// Listens at a path.
    pub(crate) fn new(access: Access) -> Supervisor {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        Supervisor::of(
            UnixDatagram::bind(&path).unwrap(),
            path.to_str().unwrap().to_owned(),
            access,
            directory,
        )
    }

    /// Listens at an abstract name.
    pub(crate) fn abstract_name(access: Access) -> Supervisor {
        let directory = tempfile::tempdir().unwrap();
        // As unique as the directory.
        let name = directory.path().to_str().unwrap().to_owned();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Supervisor::of(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"), access, directory)
    }

    fn of(socket: UnixDatagram, address: String, access: Access, directory: tempfile::TempDir) -> Supervisor {
        setsockopt(&socket, sockopt::PassCred, &true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (main, refused) = (Cell::new(0), RefCell::default());
        Supervisor { socket, address, access, main, refused, _directory: directory }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The process that was started.
    pub(crate) fn watch(&self, pid: u32) {
        self.main.set(pid);
    }

    /// The main process, as far as systemd would know.
    pub(crate) fn main_pid(&self) -> u32 {
        self.main.get()
    }

    /// The next notice, a beat of the watchdog included.
    pub(crate) fn next_of_all(&self) -> Notice {
        loop {
            let notice = self.receive(MsgFlags::empty()).expect("a notice");
            if let Some(notice) = self.judge(notice) {
                return notice;
            }
        }
    }

    /// The next notice that is no beat.
    pub(crate) fn next(&self) -> Notice {
        loop {
            let notice = self.next_of_all();
            if notice.lines != ["WATCHDOG=1"] {
                return notice;
            }
        }
    }

    /// The notices up to the first that has `line`.
    pub(crate) fn until(&self, line: &str) -> Vec<Notice> {
        let mut notices = Vec::new();
        loop {
            notices.push(self.next());
            if notices.last().is_some_and(|last: &Notice| last.has(line)) {
                return notices;
            }
        }
    }

    /// What has come meanwhile.
    pub(crate) fn rest(&self) -> Vec<Notice> {
        let all = std::iter::from_fn(|| self.receive(MsgFlags::MSG_DONTWAIT));
        all.filter_map(|notice| self.judge(notice)).collect()
    }

    /// What came from processes that may not speak.
    pub(crate) fn refused(&self) -> Vec<Notice> {
        self.refused.borrow().clone()
    }

    fn judge(&self, notice: Notice) -> Option<Notice> {
        if self.access == Access::Main && notice.from != self.main.get() {
            self.refused.borrow_mut().push(notice);
            return None;
        }
        if let Some(pid) = notice.value("MAINPID") {
            self.main.set(pid.parse().unwrap());
        }
        Some(notice)
    }

    fn receive(&self, flags: MsgFlags) -> Option<Notice> {
        let mut buffer = [0; 4096];
        let mut control = nix::cmsg_space!(UnixCredentials);
        let (len, from) = {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let fd = self.socket.as_raw_fd();
            let message = recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut control), flags).ok()?;
            let from = message.cmsgs().unwrap().find_map(|control| match control {
                ControlMessageOwned::ScmCredentials(credentials) => u32::try_from(credentials.pid()).ok(),
                _ => None,
            });
            (message.bytes, from.unwrap())
        };
        let text = std::str::from_utf8(&buffer[..len]).unwrap();
        Some(Notice { from, lines: text.lines().map(str::to_owned).collect() })
    }
}

impl Notice {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|have| have == line)
    }

    /// What stands behind `name=`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn status(&self) -> &str {
        self.value("STATUS").unwrap_or_default()
    }

    /// Its lines, with one space between them.
    pub(crate) fn text(&self) -> String {
        self.lines.join(" ")
    }
}
