//! The queue: a directory with a file for each job. A job changes its state by a move of its file, which happens at once
//! and for one process only; so any process may be killed at any time.
//!
//! ```text
//! queued/ID  ──take──▶  taken/WORKER/ID  ──finish──▶  done/ID
//!     ▲                       │
//!     └───────put_back────────┘   the worker was killed
//! ```

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io, process};

use serde::Serialize;

/// The directory, which `SPOOL` names; `spool` without that.
pub(crate) struct Spool {
    root: PathBuf,
}

/// A job that a worker has taken.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) number: u64,
    file: PathBuf,
}

/// How many jobs are where.
#[derive(Serialize)]
pub(crate) struct Counts {
    queued: usize,
    taken: usize,
    done: usize,
}

impl Spool {
    /// Makes the directories that are missing.
    pub(crate) fn open() -> io::Result<Self> {
        let root = PathBuf::from(env::var_os("SPOOL").unwrap_or_else(|| "spool".into()));
        for directory in ["queued", "taken", "done"] {
            fs::create_dir_all(root.join(directory))?;
        }
        Ok(Self { root })
    }

    /// Adds a job; returns its id.
    pub(crate) fn put(&self, number: u64) -> io::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // They are taken in the order of their names.
        let id = format!("{:020}-{}", now.as_nanos(), process::id());
        self.write("queued", &id, &number.to_string())?;
        Ok(id)
    }

    /// The oldest job, for the worker of this name.
    pub(crate) fn take(&self, worker: &str) -> io::Result<Option<Job>> {
        for id in names(&self.root.join("queued"))? {
            let file = self.taken_by(worker).join(&id);
            match fs::rename(self.root.join("queued").join(&id), &file) {
                Ok(()) => {}
                // Another worker was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            let number = fs::read_to_string(&file)?.trim().parse().map_err(io::Error::other)?;
            return Ok(Some(Job { id, number, file }));
        }
        Ok(None)
    }

    /// Keeps what came of a job. Whoever is killed between the two steps does it again.
    pub(crate) fn finish(&self, job: &Job, result: &str) -> io::Result<()> {
        self.write("done", &job.id, result)?;
        fs::remove_file(&job.file)
    }

    /// Puts back what the worker of this name has taken and not finished; returns how many that were.
    pub(crate) fn put_back(&self, worker: &str) -> io::Result<usize> {
        let taken = self.taken_by(worker);
        fs::create_dir_all(&taken)?;
        let ids = names(&taken)?;
        for id in &ids {
            fs::rename(taken.join(id), self.root.join("queued").join(id))?;
        }
        Ok(ids.len())
    }

    /// What came of a job; `None` if it is not done, or not known.
    pub(crate) fn result(&self, id: &str) -> io::Result<Option<String>> {
        // What comes from outside names a file here and nowhere else.
        if !id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return Ok(None);
        }
        match fs::read_to_string(self.root.join("done").join(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }

    pub(crate) fn counts(&self) -> io::Result<Counts> {
        let count = |directory: &Path| names(directory).map(|names| names.len());
        let taken = self.root.join("taken");
        let by_worker: io::Result<Vec<usize>> =
            names(&taken)?.iter().map(|worker| count(&taken.join(worker))).collect();
        Ok(Counts {
            queued: count(&self.root.join("queued"))?,
            taken: by_worker?.iter().sum(),
            done: count(&self.root.join("done"))?,
        })
    }

    /// Throws away all results but the latest `kept`; returns how many those were.
    pub(crate) fn sweep(&self, kept: usize) -> io::Result<usize> {
        let done = self.root.join("done");
        let ids = names(&done)?;
        let old = &ids[..ids.len().saturating_sub(kept)];
        for id in old {
            fs::remove_file(done.join(id))?;
        }
        Ok(old.len())
    }

    fn taken_by(&self, worker: &str) -> PathBuf {
        self.root.join("taken").join(worker)
    }

    /// Nobody sees half a file: it has another name until it is whole.
    fn write(&self, directory: &str, id: &str, text: &str) -> io::Result<()> {
        let directory = self.root.join(directory);
        let draft = directory.join(format!(".{id}"));
        fs::write(&draft, text)?;
        fs::rename(draft, directory.join(id))
    }
}

/// What is in a directory, in order, drafts left out.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}
