//! What an earlier service of the same pid file has left: an orphan that still runs, or the remains of a crash.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    Account, BindError as UnixBindError, OtherProcess, Pid, PidFile, PidFileError, RunDir, RunDirError,
    Signal,
};

use super::process::DirtySocket;
use super::run_file;
use crate::listener::BindError;
use crate::{DirtyConfig, ServiceError, report};

/// Takes over the pid file, and ends the dirty arbiter of a service that is gone but for it.
///
/// `None` if there can be none: what is at its path is not ours, or, where no socket was asked for, another service of the
/// same program has it.
///
/// # Errors
///
/// The service runs already, or its orphan cannot be ended.
pub(super) fn take_over(config: &DirtyConfig, path: &Path) -> Result<Option<PidFile>, ServiceError> {
    let mut kept = PidFile::keep(path);
    if let Err(PidFileError::Kept { pid, .. }) = &kept
        && is_gone(Pid::from_raw(*pid), DYING)
    {
        // It had been killed a moment ago.
        kept = PidFile::keep(path);
    }
    match kept {
        Ok(file) => {
            end_orphan(&file)?;
            Ok(Some(file))
        }
        Err(PidFileError::Kept { pid, path }) if config.socket.is_some() => {
            Err(ServiceError::AlreadyRunning { pid, path })
        }
        Err(PidFileError::Kept { pid, path }) => {
            let path = path.display();
            tracing::info!("No pid file: {path} is that of another service of this program (pid: {pid})");
            Ok(None)
        }
        // The socket will not be bound there either, and says why.
        Err(PidFileError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            tracing::warn!("No pid file: {}", report::chain(&error));
            Ok(None)
        }
    }
}

/// Binds the socket. Behind a service that was killed its last processes may still be about to end.
pub(super) fn bind(path: &Path, after: Option<&PidFile>) -> Result<DirtySocket, BindError> {
    let until = Instant::now() + DYING;
    loop {
        match DirtySocket::bind(path) {
            Err(BindError::Unix(UnixBindError::InUse { .. }))
                if after.is_some_and(PidFile::was_left_behind) && Instant::now() < until =>
            {
                thread::sleep(LOOK_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

/// Makes the run directory, and removes those that earlier services of the pid file left.
pub(super) fn run_dir(config: &DirtyConfig, pid_file: Option<&PidFile>) -> Result<RunDir, RunDirError> {
    let (base, user) = (std::env::temp_dir(), config.processes.account.as_ref());
    if let Some(file) = pid_file.filter(|file| file.was_left_behind()) {
        remove_stale(&base, user, file);
    }
    // Workers note in it who they are.
    let dir = RunDir::create(base.join(format!("gunmetal-{}", std::process::id())), user)?;
    if let Some(file) = pid_file {
        sign(&dir, file);
    }
    Ok(dir)
}

/// Notes in the run directory whose it is.
pub(super) fn sign(dir: &RunDir, file: &PidFile) {
    // Without it the directory would be left after a crash, which is no reason not to start.
    let _ = run_file::write(&dir.path().join(OWNER), file.path().as_os_str().as_bytes());
}

/// Who keeps the pid file is the only one who may have such a directory.
fn remove_stale(base: &Path, user: Option<&Account>, file: &PidFile) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let dir = entry.path();
        if entry.file_name().as_bytes().starts_with(b"gunmetal-") && is_of(&dir, user, file) {
            tracing::info!("Removing the directory of a service that was killed: {}", dir.display());
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Whether a service of the pid file made this directory. Everybody may make one of that name: it is not looked into if it is
/// somebody else's.
fn is_of(dir: &Path, user: Option<&Account>, file: &PidFile) -> bool {
    RunDir::is_own(dir, user)
        && run_file::read(&dir.join(OWNER)).is_ok_and(|path| path == file.path().as_os_str().as_bytes())
}

/// Ends a dirty arbiter whose master is dead, with its router and its workers.
fn end_orphan(file: &PidFile) -> Result<(), ServiceError> {
    let failed = || ServiceError::system("end an orphaned dirty arbiter");
    loop {
        let Some(pid) = file.named().map_err(failed())? else { return Ok(()) };
        let Some(orphan) = OtherProcess::open(pid).map_err(failed())? else { continue };
        // The handle first: if the file names this pid after that, the handle means the process that it names.
        if file.named().map_err(failed())? != Some(pid) {
            continue;
        }
        if !orphan.is_of_this_user() || !orphan.title().starts_with(&format!("gunmetal: {ROLE}")) {
            return Err(ServiceError::Stranger { pid: pid.as_raw(), path: file.path().to_owned() });
        }
        tracing::warn!("Ending an orphaned dirty arbiter (pid: {pid})");
        // Before its end they are found, after it they are anybody's.
        let mut family = orphan.children();
        orphan.signal(Signal::SIGTERM).map_err(failed())?;
        if !orphan.wait(PATIENCE).map_err(failed())? {
            tracing::warn!("The orphaned dirty arbiter does not end and is killed (pid: {pid})");
            family.extend(orphan.children());
            orphan.signal(Signal::SIGKILL).map_err(failed())?;
        }
        family.push(orphan);
        for process in family {
            if !process.wait(DYING).map_err(failed())? {
                process.signal(Signal::SIGKILL).map_err(failed())?;
                process.wait(PATIENCE).map_err(failed())?;
            }
        }
    }
}

/// Whether a process ends within this time.
fn is_gone(pid: Pid, patience: Duration) -> bool {
    // 0 is one that cannot be seen from here.
    pid.as_raw() > 0
        && match OtherProcess::open(pid) {
            Ok(Some(process)) => process.wait(patience).unwrap_or(false),
            Ok(None) => true,
            Err(_) => false,
        }
}

/// How dirty arbiters are shown, behind `gunmetal: `.
pub(super) const ROLE: &str = "dirty arbiter";
/// In a run directory: the path of the pid file whose service it is.
const OWNER: &str = "pid-file";
/// What an orphan has to end in order. Its calls are nobody's: the HTTP workers went with the master.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a process may take to be gone after it was killed.
const DYING: Duration = Duration::from_millis(500);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_directories_of_the_same_service_are_removed_and_no_pipe_is_waited_for() {
        let base = tempfile::tempdir().unwrap();
        let file = PidFile::keep(base.path().join("service.pid")).unwrap();
        let make = |name: &str| {
            let dir = base.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir.join(OWNER)
        };
        let ours = file.path().as_os_str().as_bytes();
        fs::write(make("gunmetal-1"), ours).unwrap();
        fs::write(make("gunmetal-2"), "/another/service.pid").unwrap();
        fs::write(make("other-3"), ours).unwrap();
        mkfifo(&make("gunmetal-4"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        symlink(base.path().join("other-3"), base.path().join("gunmetal-5")).unwrap();
        make("gunmetal-6");
        remove_stale(base.path(), None, &file);
        let mut left: Vec<_> =
            fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["gunmetal-2", "gunmetal-4", "gunmetal-5", "gunmetal-6", "other-3", "service.pid"]);
    }
}
