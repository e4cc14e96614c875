//! What a dirty arbiter that died leaves to the next one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use gunmetal_supervise::{AdoptError, Child, Pid, Poller, Signal, WorkerId, reap_orphans};
use nix::unistd::getpid;

use super::run_file;
use super::worker_files::{Duty, Found, WorkerFiles};
use crate::DirtyConfig;
use crate::crew::{Member, Pulse};

/// What was found of the arbiter before.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    /// How many slots it had, if that was ever changed.
    pub(super) slot_count: Option<u32>,
    /// Every name of a worker that was given.
    pub(super) past: Vec<WorkerId>,
    /// The workers that go on, at most one for each slot.
    pub(super) adopted: Vec<(WorkerId, Member)>,
}

impl Legacy {
    /// Takes over the workers that were in service and live; the others are killed. `master` has adopted them all.
    pub(super) fn take_over(run_dir: &Path, config: &DirtyConfig, master: Pid) -> Self {
        let mut legacy = Self { slot_count: read_slot_count(run_dir), ..Self::default() };
        let mut slots = BTreeSet::new();
        // The latest of a slot first: it was the one to stay.
        for found in WorkerFiles::find(run_dir).into_iter().rev() {
            legacy.past.push(found.worker);
            let Some(child) = orphan(&found, master) else { continue };
            let pid = child.pid();
            let adopted = if slots.contains(&found.worker.slot) {
                Err((child, "another one holds its slot".to_owned()))
            } else {
                adopt(&found, child, config)
            };
            match adopted {
                Ok(member) => {
                    slots.insert(found.worker.slot);
                    tracing::info!(worker = %found.worker, "Adopted dirty worker with pid: {pid}");
                    legacy.adopted.push((found.worker, member));
                }
                Err((child, reason)) => {
                    tracing::info!(worker = %found.worker, reason, "Dirty worker not adopted (pid: {pid})");
                    if let Err(error) = child.signal(Signal::SIGKILL) {
                        tracing::error!(worker = %found.worker, %error, "signal refused");
                    }
                    found.files.remove();
                }
            }
        }
        legacy
    }
}

/// Notes how many slots there are, for the next arbiter; `None` for as many as are configured.
pub(super) fn note_slot_count(run_dir: &Path, count: Option<u32>) {
    let path = run_dir.join(SLOTS);
    let noted = match count {
        Some(count) => run_file::write(&path, count.to_string().as_bytes()),
        None => fs::remove_file(&path),
    };
    if let Err(error) = noted
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "number of workers cannot be noted");
    }
}

/// Ends the workers that no arbiter owns, at the end of the master that has adopted them. They may close their apps,
/// but have no calls to finish: nobody waits for those.
pub(crate) fn end_orphans(run_dir: &Path) {
    let mut orphans: Vec<Child> =
        WorkerFiles::find(run_dir).iter().filter_map(|found| orphan(found, getpid())).collect();
    for (signal, patience) in [(Signal::SIGTERM, CLOSE_TIMEOUT), (Signal::SIGKILL, KILL_TIMEOUT)] {
        let until = Instant::now() + patience;
        for orphan in &orphans {
            tracing::info!(
                signal = signal.as_str(),
                "Dirty worker without an arbiter ends (pid: {})",
                orphan.pid()
            );
            if let Err(error) = orphan.signal(signal) {
                tracing::error!(pid = orphan.pid().as_raw(), %error, "signal refused");
            }
        }
        if wait_for_all(&mut orphans, until) {
            break;
        }
    }
    reap_orphans(|_| false);
}

/// The process of a worker, if it lives.
fn orphan(found: &Found, master: Pid) -> Option<Child> {
    let identity = match &found.record {
        Some(record) => record.identity(),
        // It died with its arbiter, before it could outlive it.
        None => {
            found.files.remove();
            return None;
        }
    };
    match Child::adopt(identity, master) {
        Ok(child) => Some(child),
        Err(AdoptError::Gone { .. }) => {
            found.files.remove();
            None
        }
        Err(error) => {
            tracing::error!(worker = %found.worker, error = crate::report::chain(&error), "cannot be adopted");
            None
        }
    }
}

/// Makes a worker one of ours; otherwise says why not.
fn adopt(found: &Found, child: Child, config: &DirtyConfig) -> Result<Member, (Child, String)> {
    let Some(record) = found.record.as_ref().filter(|_| found.duty == Duty::Serving) else {
        return Err((child, "it was not in service".to_owned()));
    };
    if !config.allocation.apps_of(found.worker.slot).eq(record.apps.iter().map(String::as_str)) {
        return Err((child, "it has other apps".to_owned()));
    }
    let pid = child.pid();
    match record.heartbeat.map(|number| Pulse::of_process(pid, number, &config.processes)).transpose() {
        Ok(pulse) => Ok(Member::adopted(child, record.age, pulse)),
        Err(error) => Err((child, format!("its heartbeat cannot be seen: {error}"))),
    }
}

/// Forgets those that end; returns whether all did in time.
fn wait_for_all(processes: &mut Vec<Child>, until: Instant) -> bool {
    loop {
        processes.retain_mut(|process| !matches!(process.try_wait(), Ok(Some(_))));
        if processes.is_empty() || Instant::now() >= until {
            return processes.is_empty();
        }
        let mut poller = Poller::new();
        processes.iter().for_each(|process| poller.readable(process, ()));
        if let Err(error) = poller.wait(Some(until)) {
            tracing::error!(%error, "cannot wait for dirty workers");
            return false;
        }
    }
}

fn read_slot_count(run_dir: &Path) -> Option<u32> {
    String::from_utf8(run_file::read(&run_dir.join(SLOTS)).ok()?).ok()?.parse().ok()
}

const SLOTS: &str = "slots";
/// For `close` of the apps.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The kernel ends a killed process at once, unless it waits for a disk that does not answer.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
