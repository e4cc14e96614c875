//! Parents that die.

use gunmetal_supervise::{BecomeChildError, ChildSetup, ExitStatus, Poller, Signal, Signals, reap_orphans};
use nix::sys::prctl::set_child_subreaper;

use crate::Case;
use crate::cases::{Guarded, await_go, child, go, pipe, sleep_long, soon};

pub(crate) const CASES: &[Case] = &[
    (
        "parents::a_child_is_signalled_when_its_parent_is_killed",
        a_child_is_signalled_when_its_parent_is_killed,
    ),
    ("parents::a_child_can_watch_its_parent", a_child_can_watch_its_parent),
    ("parents::a_parent_that_died_too_early_is_noticed", a_parent_that_died_too_early_is_noticed),
    ("parents::an_orphan_without_a_death_signal_lives_on", an_orphan_without_a_death_signal_lives_on),
];

/// Kills `parent` and returns how the orphan ended that it leaves to this process.
fn kill_and_reap(mut parent: Guarded) -> ExitStatus {
    let signals = Signals::block([Signal::SIGCHLD]).unwrap();
    parent.signal(Signal::SIGKILL).unwrap();
    assert_eq!(parent.wait_in_time(), ExitStatus::Signal { signal: 9, core: false });
    loop {
        if let [(_, status)] = reap_orphans(|_| false)[..] {
            return status;
        }
        let mut poller = Poller::new();
        poller.readable(&signals, ());
        assert!(!poller.wait(Some(soon())).unwrap().is_empty(), "the orphan goes on");
        while signals.read().unwrap().is_some() {}
    }
}

fn a_child_is_signalled_when_its_parent_is_killed() {
    set_child_subreaper(true).unwrap();
    let (reader, writer) = pipe();
    let parent = child(|_| {
        let _child = child(|newborn| {
            newborn.become_child(ChildSetup::new("test: grandchild").keep(&writer)).unwrap();
            go(&writer);
            sleep_long()
        });
        sleep_long()
    });
    await_go(&reader);
    assert_eq!(kill_and_reap(parent), ExitStatus::Signal { signal: 15, core: false });
}

fn a_child_can_watch_its_parent() {
    set_child_subreaper(true).unwrap();
    let (reader, writer) = pipe();
    let parent = child(|_| {
        let _child = child(|newborn| {
            let setup = ChildSetup::new("test: grandchild").keep(&writer).death_signal(None);
            let parent = newborn.become_child(setup).unwrap();
            go(&writer);
            let mut poller = Poller::new();
            poller.readable(&parent, ());
            i32::from(!poller.wait(Some(soon())).unwrap().is_empty())
        });
        sleep_long()
    });
    await_go(&reader);
    assert_eq!(kill_and_reap(parent), ExitStatus::Code(1));
}

fn a_parent_that_died_too_early_is_noticed() {
    set_child_subreaper(true).unwrap();
    let (started, start) = pipe();
    let (orphaned, go_on) = pipe();
    let parent = child(|_| {
        let _child = child(|newborn| {
            go(&start);
            await_go(&orphaned);
            match newborn.become_child(ChildSetup::new("test: grandchild")) {
                Err(BecomeChildError::ParentGone { .. }) => 7,
                other => panic!("{other:?}"),
            }
        });
        sleep_long()
    });
    await_go(&started);
    parent.signal(Signal::SIGKILL).unwrap();
    let mut poller = Poller::new();
    poller.readable(&*parent, ());
    poller.wait(Some(soon())).unwrap();
    go(&go_on);
    assert_eq!(kill_and_reap(parent), ExitStatus::Code(7));
}

fn an_orphan_without_a_death_signal_lives_on() {
    set_child_subreaper(true).unwrap();
    let (started, start) = pipe();
    let (orphaned, go_on) = pipe();
    let mut parent = child(|_| {
        let _child = child(|newborn| {
            let setup = ChildSetup::new("test: grandchild").keep(&start).keep(&orphaned).death_signal(None);
            newborn.become_child(setup).unwrap();
            go(&start);
            await_go(&orphaned);
            8
        });
        sleep_long()
    });
    await_go(&started);
    parent.signal(Signal::SIGKILL).unwrap();
    parent.wait_in_time();
    assert_eq!(reap_orphans(|_| false), []);
    go(&go_on);
    assert_eq!(kill_and_reap(parent), ExitStatus::Code(8));
}
