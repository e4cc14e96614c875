//! Whom a worker lives for: its arbiter, or the next one that the master starts.
//!
//! ```text
//!   starting ──ready──▶ in service ──told to drain──▶ draining
//!   dies with the       outlives the arbiter,          dies with
//!   arbiter             not the master                 its parent
//! ```

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use gunmetal_dirty::worker::{Fate, Lifeline, Station};
use gunmetal_supervise::{Ancestors, Parent, Pid, PidFile};

use crate::listener::SocketFile;

/// The service around the workers, where a master keeps it alive.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) master: Pid,
    pub(super) run_dir: PathBuf,
    pub(super) socket: SocketFile,
    pub(super) pid_file: Option<PathBuf>,
}

impl Service {
    /// The lifeline of the calling process, a worker that was just forked by `arbiter`.
    pub(super) fn lifeline(self, arbiter: Parent) -> io::Result<Lifeline> {
        let ancestors = Ancestors::new(arbiter, self.master);
        let parent = ancestors.as_fd().try_clone_to_owned()?;
        let at = move |station| {
            let tied = match station {
                Station::Ready => ancestors.outlive_parent(),
                Station::Orphaned => ancestors.follow_subreaper(),
                Station::Draining => ancestors.die_with_parent(),
            };
            match tied {
                Ok(()) => Fate::GoOn,
                Err(error) => {
                    tracing::warn!(error = crate::report::chain(&error), "dirty worker is alone and ends");
                    // So are the others: whoever comes first clears up.
                    self.clear_up();
                    Fate::End
                }
            }
        };
        Ok(Lifeline { parent, at: Box::new(at) })
    }

    /// Removes what the service has in the file system, unless the next one is there and has done so.
    fn clear_up(&self) {
        let _ = fs::remove_dir_all(&self.run_dir);
        match self.pid_file.as_ref().map(PidFile::keep) {
            Some(Ok(file)) => {
                self.socket.remove();
                file.remove();
            }
            Some(Err(_)) => {}
            None => self.socket.remove(),
        }
    }
}
