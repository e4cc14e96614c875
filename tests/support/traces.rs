//! What a service holds on to: counted while it is idle, and again after it has worked hard.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Service};

/// Processes, descriptors and files of an idle service without clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// How many processes there are below the one that the test started.
    processes: usize,
    /// Open descriptors of the process that the test started, and of its router.
    descriptors: [usize; 2],
    /// Files, sockets and directories in the service's directory, at any depth.
    files: usize,
}

impl Traces {
    /// Counts what `service` has, once no client is connected any more.
    pub fn of(service: &Service) -> Traces {
        service.wait_for("the clients to be gone", || (client_count(service) == 0).then_some(()));
        Traces::now(service)
    }

    fn now(service: &Service) -> Traces {
        let below = service.descendants();
        let router = below.iter().find(|process| process.title.contains("router"));
        Traces {
            processes: below.len(),
            descriptors: [service.pid(), router.map_or(0, |router| router.pid)]
                .map(|pid| descriptors(pid).len()),
            files: service.leftovers().iter().map(|path| entry_count(path)).sum(),
        }
    }

    /// Waits until `service` is down to these traces again, with no zombie beside them, and checks that its router
    /// holds at most `resident_kib` of memory.
    pub fn are_all_that_is_left(&self, service: &Service, resident_kib: u64) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let (now, zombies) = (Traces::now(service), zombies(service));
            if now == *self && zombies.is_empty() {
                break;
            }
            assert!(
                Instant::now() < give_up,
                "left are {now:?} and the zombies {zombies:?}, before it were {self:?}"
            );
            thread::sleep(Duration::from_millis(5));
        }
        let resident = service.process("router").resident_kib();
        assert!(resident <= resident_kib, "the router holds {resident} KiB, not at most {resident_kib}");
    }
}

/// How many connections of clients the service's routers have: sockets with the name of the one that they were accepted on.
fn client_count(service: &Service) -> usize {
    let name = service.socket().file_name().unwrap().to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let connected: BTreeSet<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() == 8 && row[5] == CONNECTED && row[7].ends_with(&name))
        .map(|row| format!("socket:[{}]", row[6]))
        .collect();
    let descriptors = service.processes("router").into_iter().flat_map(|router| descriptors(router.pid));
    descriptors.filter(|descriptor| connected.contains(descriptor)).count()
}

/// What the descriptors of a process refer to.
fn descriptors(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| Some(fs::read_link(link.path()).ok()?.to_string_lossy().into_owned())).collect()
}

/// Dead children of the service that nobody has reaped.
fn zombies(service: &Service) -> Vec<u32> {
    let mut parents: Vec<u32> = service.descendants().iter().map(|process| process.pid).collect();
    parents.push(service.pid());
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| super::stat(pid).is_some_and(|(state, of)| state == 'Z' && parents.contains(&of)))
        .collect()
}

fn entry_count(path: &Path) -> usize {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    1 + below.map(|entry| entry_count(&entry.path())).sum::<usize>()
}

/// `SS_CONNECTED`, as `/proc/net/unix` shows it.
const CONNECTED: &str = "03";
