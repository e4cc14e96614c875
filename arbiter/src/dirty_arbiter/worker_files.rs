//! What a dirty worker has in the run directory.
//!
//! ```text
//! worker-<slot>-<generation>.sock      where the router finds it
//!                           .waiting   its record: it is not in service, not yet or no more
//!                           .serving   the same, while it is in service
//! ```
//!
//! A worker under a master writes its record itself before it can outlive its arbiter, so there is none without one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use gunmetal_protocol::{Segments, from_slice, to_segments};
use gunmetal_supervise::{Pid, ProcessIdentity, WorkerId};
use serde::{Deserialize, Serialize};

use super::run_file;

/// The files of one worker.
#[derive(Debug)]
pub(super) struct WorkerFiles {
    run_dir: PathBuf,
    worker: WorkerId,
}

/// What the next arbiter must know of a worker to take it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WorkerRecord {
    pid: i32,
    start_time: u64,
    /// How many workers there had been when it was forked, itself included.
    pub(super) age: u64,
    /// The number of its descriptor that is its heartbeat, if it beats.
    pub(super) heartbeat: Option<RawFd>,
    pub(super) apps: Vec<String>,
}

/// Whether the router is told to give a worker calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    Waiting,
    Serving,
}

/// A worker that has left files.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: WorkerFiles,
    pub(super) worker: WorkerId,
    pub(super) duty: Duty,
    /// `None` if it never got far enough to write one.
    pub(super) record: Option<WorkerRecord>,
}

impl WorkerRecord {
    /// The record of the calling process.
    pub(super) fn of_this_process(age: u64, heartbeat: Option<RawFd>, apps: Vec<String>) -> io::Result<Self> {
        let ProcessIdentity { pid, start_time } = ProcessIdentity::of_this_process()?;
        Ok(Self { pid: pid.as_raw(), start_time, age, heartbeat, apps })
    }

    pub(super) fn identity(&self) -> ProcessIdentity {
        ProcessIdentity { pid: Pid::from_raw(self.pid), start_time: self.start_time }
    }
}

impl WorkerFiles {
    pub(super) fn new(run_dir: &Path, worker: WorkerId) -> Self {
        Self { run_dir: run_dir.to_owned(), worker }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path(SOCKET)
    }

    /// Writes the record of a worker that is not in service yet.
    pub(super) fn write(&self, record: &WorkerRecord) -> io::Result<()> {
        let mut payload = Segments::new();
        to_segments(record, &mut payload).map_err(io::Error::other)?;
        // A reader sees all of it or nothing.
        fs::write(self.path(UNFINISHED), payload.into_contiguous())?;
        fs::rename(self.path(UNFINISHED), self.path(WAITING))
    }

    /// Notes that the worker is in service, or is so no more. One without a record is none to take over.
    pub(super) fn note(&self, duty: Duty) {
        let (from, to) = match duty {
            Duty::Serving => (WAITING, SERVING),
            Duty::Waiting => (SERVING, WAITING),
        };
        if let Err(error) = fs::rename(self.path(from), self.path(to))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(worker = %self.worker, %error, "record of a worker cannot be changed");
        }
    }

    /// Removes them all: the worker is gone.
    pub(super) fn remove(&self) {
        for extension in EXTENSIONS {
            // Its own files by name and generation, so nobody else's. What was never there is as good as removed.
            let _ = fs::remove_file(self.path(extension));
        }
    }

    /// Every worker with files in the directory.
    pub(super) fn find(run_dir: &Path) -> Vec<Found> {
        let mut found: BTreeMap<WorkerId, Duty> = BTreeMap::new();
        for entry in fs::read_dir(run_dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some((worker, extension)) = name.to_str().and_then(parse_name) else { continue };
            let duty = found.entry(worker).or_insert(Duty::Waiting);
            if extension == SERVING {
                *duty = Duty::Serving;
            }
        }
        let found = found.into_iter().map(|(worker, duty)| {
            let files = Self::new(run_dir, worker);
            let record = files.read(duty);
            Found { files, worker, duty, record }
        });
        found.collect()
    }

    fn read(&self, duty: Duty) -> Option<WorkerRecord> {
        let extension = if duty == Duty::Serving { SERVING } else { WAITING };
        let payload = run_file::read(&self.path(extension)).ok()?;
        match from_slice(&payload) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(worker = %self.worker, %error, "record of a worker cannot be read");
                None
            }
        }
    }

    fn path(&self, extension: &str) -> PathBuf {
        let WorkerId { slot, generation } = self.worker;
        self.run_dir.join(format!("worker-{slot}-{generation}.{extension}"))
    }
}

fn parse_name(name: &str) -> Option<(WorkerId, &str)> {
    let (id, extension) = name.strip_prefix("worker-")?.split_once('.')?;
    let (slot, generation) = id.split_once('-')?;
    let worker = WorkerId { slot: slot.parse().ok()?, generation: generation.parse().ok()? };
    EXTENSIONS.contains(&extension).then_some((worker, extension))
}

const SOCKET: &str = "sock";
const UNFINISHED: &str = "new";
const WAITING: &str = "waiting";
const SERVING: &str = "serving";
const EXTENSIONS: [&str; 4] = [SOCKET, UNFINISHED, WAITING, SERVING];

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId { slot: 3, generation: 12 };

    fn record() -> WorkerRecord {
        WorkerRecord::of_this_process(7, Some(5), vec!["a:App".to_owned()]).unwrap()
    }

    fn found(run_dir: &Path) -> Vec<(WorkerId, Duty, Option<WorkerRecord>)> {
        WorkerFiles::find(run_dir).into_iter().map(|found| (found.worker, found.duty, found.record)).collect()
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let files = WorkerFiles::new(dir.path(), WORKER);
        files.write(&record()).unwrap();
        assert_eq!(found(dir.path()), [(WORKER, Duty::Waiting, Some(record()))]);
        files.note(Duty::Serving);
        assert_eq!(found(dir.path()), [(WORKER, Duty::Serving, Some(record()))]);
        files.note(Duty::Waiting);
        assert_eq!(found(dir.path()), [(WORKER, Duty::Waiting, Some(record()))]);
    }

    #[test]
    fn a_worker_without_a_record_is_found_by_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let files = WorkerFiles::new(dir.path(), WORKER);
        fs::write(files.socket(), "").unwrap();
        files.note(Duty::Serving);
        assert_eq!(found(dir.path()), [(WORKER, Duty::Waiting, None)]);
    }

    #[test]
    fn what_is_removed_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let files = WorkerFiles::new(dir.path(), WORKER);
        fs::write(files.socket(), "").unwrap();
        files.write(&record()).unwrap();
        files.remove();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_broken_record_and_a_strange_file_are_no_workers_to_take_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("worker-1-1.serving"), "?").unwrap();
        for name in ["worker-1.sock", "worker-x-1.sock", "worker-1-2.txt", "slots"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let worker = WorkerId { slot: 1, generation: 1 };
        assert_eq!(found(dir.path()), [(worker, Duty::Serving, None)]);
    }
}
