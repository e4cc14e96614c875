//! What a killed parent leaves to its successor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gunmetal_supervise::{
    ChildSetup, ExitStatus, Launch, Ledger, Leftover, Output, Poller, Signal, Work, adopt_orphans,
    reap_orphans,
};

use crate::Case;
use crate::cases::{await_go, child, go, pipe, sleep_long, soon};

pub(crate) const CASES: &[Case] = &[
    ("ledgers::a_successor_finds_who_was_started_before_it", a_successor_finds_who_was_started_before_it),
    ("ledgers::a_process_is_entered_before_its_work_begins", a_process_is_entered_before_its_work_begins),
];

const PATIENCE: Duration = Duration::from_millis(1_500);

/// Starts a program that outlives its parent.
fn launch(ledger: &Ledger, slot: usize, name: &str, work: Work<'_>) -> gunmetal_supervise::Launched {
    let launch = Launch {
        // Nothing to whom it reaches.
        setup: ChildSetup::new("test: launched").death_signal(Signal::SIGCONT),
        ledger: (ledger, slot, name),
        patience: PATIENCE,
        cwd: None,
        env: &BTreeMap::new(),
        stdout: Output::Inherit,
        stderr: Output::Inherit,
        work,
    };
    launch.start().unwrap()
}

fn a_successor_finds_who_was_started_before_it() {
    adopt_orphans().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::keep(&dir.path().join("ledger")).unwrap();
    let (told, tell) = pipe();
    let command = ["sleep".to_owned(), "1000".to_owned()];
    let mut parent = child(|newborn| {
        let setup = ChildSetup::new("test: parent").keep(&ledger).keep(&tell);
        let _parent = newborn.become_child(setup).unwrap();
        for (slot, name) in [(1, "one"), (4, "four")] {
            let launched = launch(&ledger, slot, name, Work::Execute(&command));
            let mut poller = Poller::new();
            poller.readable(&launched.words, ());
            poller.wait(Some(soon())).unwrap();
        }
        // This one ends, and nobody notices before the parent ends itself.
        launch(&ledger, 2, "two", Work::Call(&|| 0)).child.wait().unwrap();
        go(&tell);
        sleep_long()
    });
    drop(tell);
    await_go(&told);
    parent.signal(Signal::SIGKILL).unwrap();
    parent.wait_in_time();

    let mut entered = ledger.entries().unwrap();
    let names: Vec<_> = entered.iter().map(|(slot, name, _)| (*slot, name.as_str())).collect();
    assert_eq!(names, [(1, "one"), (2, "two"), (4, "four")]);
    let mut successor = child(|newborn| {
        let setup = ChildSetup::new("test: successor").keep(&ledger);
        let _parent = newborn.become_child(setup).unwrap();
        let mut leftovers = ledger.leftovers().unwrap();
        let found: Vec<_> = leftovers.iter().map(|one| (one.slot, one.name.as_str(), one.patience)).collect();
        assert_eq!(found, [(1, "one", PATIENCE), (4, "four", PATIENCE)]);
        for Leftover { slot, child, .. } in &mut leftovers {
            child.signal(Signal::SIGTERM).unwrap();
            assert_eq!(child.wait().unwrap(), ExitStatus::Unknown);
            ledger.clear(*slot).unwrap();
        }
        0
    });
    assert_eq!(successor.wait_in_time(), ExitStatus::Code(0));
    assert!(ledger.entries().unwrap().is_empty());
    entered.retain(|(_, name, _)| name != "two");
    let mut reaped = BTreeMap::new();
    let limit = soon();
    while reaped.len() < entered.len() && Instant::now() < limit {
        reaped.extend(reap_orphans(|_| false));
        std::thread::yield_now();
    }
    let ends: Vec<_> =
        entered.iter().map(|(_, _, identity)| reaped.get(&identity.unwrap().pid).copied()).collect();
    let stopped = Some(ExitStatus::Signal { signal: 15, core: false });
    assert_eq!(ends, [stopped, stopped]);
}

fn a_process_is_entered_before_its_work_begins() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::keep(&dir.path().join("ledger")).unwrap();
    // Not even a start that fails comes before it.
    let mut launched = launch(&ledger, 0, "scheduler", Work::Execute(&[]));
    assert_eq!(launched.child.wait().unwrap(), ExitStatus::Code(126));
    let entries = ledger.entries().unwrap();
    let [(0, name, Some(identity))] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((name.as_str(), identity.pid), ("scheduler", launched.child.pid()));
}
