//! Signals are read, and nothing of them is inherited.

use std::fs;
use std::process::Command;

use gunmetal_supervise::{ChildSetup, ExitStatus, Poller, Signal, Signals};
use nix::sys::signal::{kill, raise};
use nix::unistd::getpid;

use crate::Case;
use crate::cases::{await_go, child, go, pipe, program, read_all, sleep_long, soon};

pub(crate) const CASES: &[Case] = &[
    ("signals::a_signal_is_read_and_interrupts_nothing", a_signal_is_read_and_interrupts_nothing),
    ("signals::a_signal_wakes_a_poller", a_signal_wakes_a_poller),
    (
        "signals::a_child_inherits_neither_mask_nor_dispositions",
        a_child_inherits_neither_mask_nor_dispositions,
    ),
    (
        "signals::a_child_dies_of_sigterm_although_its_parent_blocks_it",
        a_child_dies_although_its_parent_blocks,
    ),
    ("signals::a_sigterm_sent_before_the_child_was_set_up_is_not_lost", a_sigterm_sent_early_is_not_lost),
    ("signals::a_childs_signal_is_not_seen_by_its_parent", a_childs_signal_is_not_seen_by_its_parent),
    ("signals::an_ignored_sigchld_costs_no_exit_status", an_ignored_sigchld_costs_no_exit_status),
];

pub(crate) const PROGRAMS: &[Case] = &[("program::reaps_a_child", reaps_a_child)];

fn a_signal_is_read_and_interrupts_nothing() {
    let signals = Signals::block([Signal::SIGTERM, Signal::SIGUSR1]).unwrap();
    assert_eq!(signals.read().unwrap(), None);
    raise(Signal::SIGUSR1).unwrap();
    raise(Signal::SIGTERM).unwrap();
    let mut got = [signals.read().unwrap(), signals.read().unwrap()];
    got.sort();
    assert_eq!(got, [Some(Signal::SIGUSR1), Some(Signal::SIGTERM)]);
    assert_eq!(signals.read().unwrap(), None);
}

fn a_signal_wakes_a_poller() {
    let signals = Signals::block([Signal::SIGHUP]).unwrap();
    let parent = getpid();
    let mut child = child(|_| {
        kill(parent, Signal::SIGHUP).unwrap();
        0
    });
    let mut poller = Poller::new();
    poller.readable(&signals, ());
    assert_eq!(poller.wait(Some(soon())).unwrap(), [()]);
    assert_eq!(signals.read().unwrap(), Some(Signal::SIGHUP));
    child.wait_in_time();
}

/// The kernel's own word: blocked nothing, ignored SIGPIPE alone.
fn a_child_inherits_neither_mask_nor_dispositions() {
    let _signals = Signals::block([Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGHUP]).unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: signals").keep(&writer)).unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        std::io::Write::write_all(&mut &writer, status.as_bytes()).unwrap();
        0
    });
    child.wait_in_time();
    let status = {
        let mut text = vec![0; 65536];
        let len = std::io::Read::read(&mut &reader, &mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    };
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // Signals 32 and 33 belong to the C library.
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap() & !(0b11 << 31)
    };
    let only = |signal: Signal| 1_u64 << (signal as u32 - 1);
    assert_eq!(mask("SigBlk"), 0);
    assert_eq!(mask("SigIgn"), only(Signal::SIGPIPE));
    assert_eq!(mask("SigCgt") & !only(Signal::SIGSEGV) & !only(Signal::SIGBUS), 0);
}

fn a_child_dies_although_its_parent_blocks() {
    let _signals = Signals::block([Signal::SIGTERM]).unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: child").keep(&writer)).unwrap();
        go(&writer);
        sleep_long()
    });
    await_go(&reader);
    child.signal(Signal::SIGTERM).unwrap();
    assert_eq!(child.wait_in_time(), ExitStatus::Signal { signal: 15, core: false });
}

fn a_sigterm_sent_early_is_not_lost() {
    let _signals = Signals::block([Signal::SIGTERM]).unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        await_go(&reader);
        newborn.become_child(ChildSetup::new("test: child")).unwrap();
        sleep_long()
    });
    child.signal(Signal::SIGTERM).unwrap();
    go(&writer);
    assert_eq!(child.wait_in_time(), ExitStatus::Signal { signal: 15, core: false });
}

fn a_childs_signal_is_not_seen_by_its_parent() {
    let parents = Signals::block([Signal::SIGTERM]).unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: child").keep(&writer)).unwrap();
        let own = Signals::block([Signal::SIGTERM]).unwrap();
        raise(Signal::SIGTERM).unwrap();
        let text = format!("{:?}", own.read().unwrap());
        std::io::Write::write_all(&mut &writer, text.as_bytes()).unwrap();
        0
    });
    drop(writer);
    assert_eq!(read_all(reader), "Some(SIGTERM)");
    assert_eq!(parents.read().unwrap(), None);
    child.wait_in_time();
}

fn an_ignored_sigchld_costs_no_exit_status() {
    let make = |path: &str| {
        // coreutils: a shell would keep SIGCHLD for itself.
        let mut command = Command::new("env");
        command.args(["--ignore-signal=CHLD", path]);
        command
    };
    program("program::reaps_a_child", make);
}

fn reaps_a_child() {
    let ignored = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = ignored.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_ne!(ignored & (1 << (Signal::SIGCHLD as u32 - 1)), 0, "it starts with SIGCHLD ignored");
    let _signals = Signals::block([Signal::SIGCHLD]).unwrap();
    assert_eq!(child(|_| 3).wait_in_time(), ExitStatus::Code(3));
}
