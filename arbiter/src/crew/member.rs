//! One process of a crew.

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use gunmetal_supervise::{Child, Heartbeat, NoticeReader, Pid, ReadyReader};

use crate::ProcessConfig;

/// One process, with the parent's ends of what connects the two.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) child: Child,
    pub(super) readiness: Option<ReadyReader>,
    /// Where it may say that it wants to be replaced, and why.
    pub(super) wish: Option<NoticeReader>,
    pub(super) heartbeat: Option<Pulse>,
    age: u64,
    origin: Origin,
}

/// Who forked a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This one.
    Forked,
    /// One that died; this process took over.
    Adopted,
}

impl Member {
    /// A process that was just forked. One without a readiness pipe says that it is ready in another way.
    pub(crate) fn new(
        child: Child,
        age: u64,
        readiness: Option<ReadyReader>,
        heartbeat: Option<Pulse>,
    ) -> Self {
        Self { child, readiness, wish: None, heartbeat, age, origin: Origin::Forked }
    }

    /// Listens to the wish of the process to be replaced.
    pub(crate) fn with_wish(self, wish: NoticeReader) -> Self {
        Self { wish: Some(wish), ..self }
    }

    /// A process that serves already, and that another one forked.
    pub(crate) fn adopted(child: Child, age: u64, heartbeat: Option<Pulse>) -> Self {
        Self { origin: Origin::Adopted, ..Self::new(child, age, None, heartbeat) }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// Whether it has said that it is ready, or says nothing of the kind.
    pub(crate) fn is_booted(&self) -> bool {
        self.readiness.is_none()
    }

    /// How long ago its last heartbeat was.
    pub(crate) fn heartbeat_age(&self) -> Option<Duration> {
        self.heartbeat.as_ref()?.heartbeat.age().ok()
    }

    pub(crate) fn age(&self) -> u64 {
        self.age
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }
}

/// A heartbeat, with what it was before the process could touch it.
#[derive(Debug)]
pub(crate) struct Pulse {
    pub(crate) heartbeat: Heartbeat,
    /// The last touch before the fork.
    pub(super) before: Duration,
}

impl Pulse {
    /// Makes the heartbeat of a process that is about to be forked.
    pub(crate) fn new(processes: &ProcessConfig) -> io::Result<Self> {
        let heartbeat = match &processes.heartbeat_dir {
            Some(dir) => Heartbeat::create_in(dir)?,
            None => Heartbeat::create_in(Path::new("/dev/shm"))
                .or_else(|_| Heartbeat::create_in(&std::env::temp_dir()))?,
        };
        if let Some(account) = &processes.account {
            heartbeat.give_to(account)?;
        }
        let before = heartbeat.last_touch()?;
        Ok(Self { heartbeat, before })
    }

    /// The heartbeat of a process that somebody else forked, by the number of its descriptor there.
    pub(crate) fn of_process(pid: Pid, number: RawFd, processes: &ProcessConfig) -> io::Result<Self> {
        let heartbeat = Heartbeat::of_process(pid, number, processes.account.as_ref())?;
        Ok(Self { heartbeat, before: Duration::ZERO })
    }
}
