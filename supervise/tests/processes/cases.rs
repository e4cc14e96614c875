//! What the cases are written with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gunmetal_supervise::{Child, ExitStatus, Newborn, Pid, Poller, Signal, reap_orphans, spawn_child};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// A child that does not outlive its test.
pub(crate) struct Guarded(Child);

impl Guarded {
    pub(crate) fn new(child: Child) -> Guarded {
        Guarded(child)
    }

    /// Waits for the child's end, with a deadline.
    pub(crate) fn wait_in_time(&mut self) -> ExitStatus {
        let mut poller = Poller::new();
        poller.readable(&self.0, ());
        let ended = poller.wait(Some(soon())).unwrap();
        assert!(!ended.is_empty(), "process {} goes on", self.0.pid());
        self.0.try_wait().unwrap().expect("a readable pidfd means that the child can be reaped")
    }
}

impl Deref for Guarded {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Forks a child that is killed at the end of the test at the latest.
pub(crate) fn child(body: impl FnOnce(Newborn) -> i32) -> Guarded {
    Guarded(spawn_child(body).unwrap())
}

/// Reaps a process that was left to this one and has ended, or is about to.
pub(crate) fn reap_orphan(orphan: Pid) -> ExitStatus {
    loop {
        if let Some((_, status)) = reap_orphans(|_| false).into_iter().find(|(pid, _)| *pid == orphan) {
            return status;
        }
        std::thread::yield_now();
    }
}

/// The descriptors that this process has open.
pub(crate) fn open_descriptors() -> BTreeSet<RawFd> {
    // Collected first: the listing has a descriptor of its own, which is closed by the time it is looked at.
    let listed: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()).collect();
    let number = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    listed.into_iter().filter(|path| fs::read_link(path).is_ok()).map(number).collect()
}

/// A blocking pipe between two processes.
pub(crate) fn pipe() -> (File, File) {
    let (read, write): (OwnedFd, OwnedFd) = pipe2(OFlag::O_CLOEXEC).unwrap();
    (read.into(), write.into())
}

/// Tells the other side of a pipe to go on.
pub(crate) fn go(mut pipe: &File) {
    pipe.write_all(b"!").unwrap();
}

/// Waits until the other side of a pipe says to go on, or is gone.
pub(crate) fn await_go(mut pipe: &File) {
    let _ = pipe.read(&mut [0]);
}

/// Reads until every holder of the other side is gone.
pub(crate) fn read_all(mut pipe: File) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

/// For ever, as far as a test is concerned.
pub(crate) fn sleep_long() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Runs one of this program's programs, in a command made by `make` from the path of the executable.
pub(crate) fn program(name: &str, make: impl FnOnce(&str) -> Command) -> String {
    let executable = std::env::current_exe().unwrap();
    let output = make(executable.to_str().unwrap()).env(super::CASE, name).output().unwrap();
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
