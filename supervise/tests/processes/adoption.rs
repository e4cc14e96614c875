//! Processes whose parent dies and that go on.

use std::io::{Read, Write};

use gunmetal_supervise::{
    AdoptError, Ancestors, Child, ChildSetup, ExitStatus, Pid, ProcessIdentity, Signal, adopt_orphans,
};
use nix::unistd::getpid;

use crate::Case;
use crate::cases::{Guarded, await_go, child, go, pipe, reap_orphan, sleep_long};

pub(crate) const CASES: &[Case] = &[
    (
        "adoption::an_orphan_is_adopted_by_a_sibling_of_its_parent",
        an_orphan_is_adopted_by_a_sibling_of_its_parent,
    ),
    ("adoption::who_has_a_parent_is_not_adopted", who_has_a_parent_is_not_adopted),
    (
        "adoption::another_process_with_the_same_pid_is_not_adopted",
        another_process_with_the_same_pid_is_not_adopted,
    ),
    ("adoption::an_orphan_dies_with_the_subreaper", an_orphan_dies_with_the_subreaper),
    ("adoption::a_stopped_orphan_wakes_and_notices", a_stopped_orphan_wakes_and_notices),
];

/// Forks a parent with a child that outlives it, and says who that is. The child goes on when `orphaned` says so, and
/// ends with 7 if it could follow the subreaper.
fn family(orphaned: &std::fs::File) -> (Guarded, ProcessIdentity) {
    let subreaper = getpid();
    let (mut told, tell) = pipe();
    let parent = child(|_| {
        let _child = child(|newborn| {
            let setup = ChildSetup::new("test: grandchild").keep(&tell).keep(orphaned);
            let ancestors = Ancestors::new(newborn.become_child(setup).unwrap(), subreaper);
            ancestors.outlive_parent().unwrap();
            let ProcessIdentity { pid, start_time } = ProcessIdentity::of_this_process().unwrap();
            let mut message = [0; 12];
            message[..4].copy_from_slice(&pid.as_raw().to_le_bytes());
            message[4..].copy_from_slice(&start_time.to_le_bytes());
            (&tell).write_all(&message).unwrap();
            await_go(orphaned);
            if ancestors.follow_subreaper().is_err() {
                return 1;
            }
            await_go(orphaned);
            7
        });
        sleep_long()
    });
    let mut message = [0; 12];
    told.read_exact(&mut message).unwrap();
    let (pid, start_time) = message.split_at(4);
    let pid = Pid::from_raw(i32::from_le_bytes(pid.try_into().unwrap()));
    (parent, ProcessIdentity { pid, start_time: u64::from_le_bytes(start_time.try_into().unwrap()) })
}

fn kill(parent: &mut Guarded) {
    parent.signal(Signal::SIGKILL).unwrap();
    parent.wait_in_time();
}

fn an_orphan_is_adopted_by_a_sibling_of_its_parent() {
    adopt_orphans().unwrap();
    let (orphaned, go_on) = pipe();
    let (mut parent, identity) = family(&orphaned);
    kill(&mut parent);
    let reaper = getpid();
    let mut sibling = child(|_| {
        let mut adopted = Child::adopt(identity, reaper).unwrap();
        assert_eq!(adopted.try_wait().unwrap(), None);
        adopted.signal(Signal::SIGTERM).unwrap();
        assert_eq!(adopted.wait().unwrap(), ExitStatus::Unknown);
        assert_eq!(adopted.try_wait().unwrap(), Some(ExitStatus::Unknown));
        5
    });
    assert_eq!(sibling.wait_in_time(), ExitStatus::Code(5));
    assert_eq!(reap_orphan(identity.pid), ExitStatus::Signal { signal: 15, core: false });
    drop(go_on);
    assert!(matches!(Child::adopt(identity, reaper), Err(AdoptError::Gone { .. })));
}

fn who_has_a_parent_is_not_adopted() {
    adopt_orphans().unwrap();
    let (orphaned, go_on) = pipe();
    let (mut parent, identity) = family(&orphaned);
    let error = Child::adopt(identity, getpid()).unwrap_err();
    assert!(matches!(error, AdoptError::NotAnOrphan { .. }), "{error}");
    kill(&mut parent);
    // It is not tied to anybody yet.
    go(&go_on);
    go(&go_on);
    assert_eq!(reap_orphan(identity.pid), ExitStatus::Code(7));
}

fn another_process_with_the_same_pid_is_not_adopted() {
    let other = child(|_| sleep_long());
    let own = ProcessIdentity::of_this_process().unwrap();
    // It started before any child of it did, or in the same tick.
    let identity = ProcessIdentity { pid: other.pid(), start_time: own.start_time.wrapping_sub(1) };
    assert!(matches!(Child::adopt(identity, getpid()), Err(AdoptError::Gone { .. })));
}

fn an_orphan_dies_with_the_subreaper() {
    adopt_orphans().unwrap();
    let (orphaned, go_on) = pipe();
    let (mut told, tell) = pipe();
    let mut master = child(|_| {
        adopt_orphans().unwrap();
        let (mut parent, identity) = family(&orphaned);
        kill(&mut parent);
        (&tell).write_all(&identity.pid.as_raw().to_le_bytes()).unwrap();
        sleep_long()
    });
    let mut pid = [0; 4];
    told.read_exact(&mut pid).unwrap();
    go(&go_on);
    // Its second wait begins when it has read the first byte and tied itself to the subreaper; to be sure of that, the
    // subreaper is killed only once the pipe is empty and the process sleeps.
    let pid = Pid::from_raw(i32::from_le_bytes(pid));
    while !sleeps_in_read(pid, &orphaned) {
        std::thread::yield_now();
    }
    kill(&mut master);
    assert_eq!(reap_orphan(pid), ExitStatus::Signal { signal: 9, core: false });
}

fn a_stopped_orphan_wakes_and_notices() {
    adopt_orphans().unwrap();
    let (orphaned, go_on) = pipe();
    let (mut parent, identity) = family(&orphaned);
    nix::sys::signal::kill(identity.pid, Signal::SIGSTOP).unwrap();
    kill(&mut parent);
    go(&go_on);
    go(&go_on);
    assert_eq!(reap_orphan(identity.pid), ExitStatus::Code(7));
}

/// Whether nothing is left to read and the process waits for more.
fn sleeps_in_read(pid: Pid, pipe: &std::fs::File) -> bool {
    let mut poller = gunmetal_supervise::Poller::new();
    poller.readable(pipe, ());
    let is_empty = poller.wait(Some(std::time::Instant::now())).unwrap().is_empty();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    is_empty && stat.rsplit_once(") ").unwrap().1.starts_with('S')
}
