//! What `/proc` says about a tree of processes.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// One process of a tree.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its command line as `ps` shows it.
    pub title: String,
}

/// Processor time that a process has used, all threads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Clock ticks (10 ms) in user and kernel mode.
    pub ticks: u64,
    /// The scheduler's own count, in nanoseconds.
    pub nanos: u64,
    /// Times that a thread was put on a processor after it had waited.
    pub wake_ups: u64,
}

impl Process {
    /// `root` and everything below it.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read.
    pub fn tree(root: Pid) -> Result<Vec<Process>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").context("listing /proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            // A process that has ended meanwhile is not in the tree.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let parent = field(&stat, 1).and_then(|parent| parent.parse::<i32>().ok());
            parents.extend(parent.map(|parent| (pid, parent)));
        }
        let mut tree = vec![root.as_raw()];
        let mut at = 0;
        while let Some(&pid) = tree.get(at) {
            tree.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| child));
            at += 1;
        }
        Ok(tree.into_iter().map(Self::read).collect())
    }

    fn read(pid: i32) -> Self {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title).replace('\0', " ").trim().to_owned();
        Self { pid: Pid::from_raw(pid), title }
    }

    /// Resident memory that is its own, and all of it, in bytes.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn memory(&self) -> Result<Memory> {
        let rollup =
            fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).context("reading smaps_rollup")?;
        let line = |name: &str| -> Option<usize> {
            let line = rollup.lines().find(|line| line.starts_with(name))?;
            Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? << 10)
        };
        Ok(Memory {
            resident: line("Rss:").context("smaps_rollup has no Rss")?,
            private: line("Private_Dirty:").context("smaps_rollup has no Private_Dirty")?
                + line("Private_Clean:").context("smaps_rollup has no Private_Clean")?,
            proportional: line("Pss:").context("smaps_rollup has no Pss")?,
        })
    }

    /// Processor time used so far.
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("reading stat")?;
        let ticks = |at| field(&stat, at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        let mut time = CpuTime { ticks: ticks(11) + ticks(12), ..CpuTime::default() };
        for task in fs::read_dir(format!("/proc/{}/task", self.pid)).context("listing threads")? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let mut fields = schedstat.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
            time.nanos += fields.next().unwrap_or(0);
            time.wake_ups += fields.nth(1).unwrap_or(0);
        }
        Ok(time)
    }
}

/// A process's memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Everything that is in memory.
    pub resident: usize,
    /// What no other process shares.
    pub private: usize,
    /// Shared pages divided among those who share them.
    pub proportional: usize,
}

/// The field of `/proc/pid/stat` this far behind the command's name, which may contain anything.
fn field(stat: &str, at: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(at)
}
