//! What companions have started themselves, and signals for all of it.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::path::Path;

use support::companions::{Crew, shell};

/// Starts a process of its own, names it, and waits for it. Says when SIGTERM has come.
const PARENT: &str =
    "trap 'echo told >> told; exit 0' TERM; sleep 1000 & echo $! > child; while true; do wait; done";
/// The same, but the child says that it has been told.
const FAMILY: &str = "trap 'echo told >> told; wait; exit 0' TERM; \
    sh -c 'trap \"echo child >> told; exit 0\" TERM; echo $$ > child; while true; do sleep 0.05; done' & \
    while true; do wait; done";

#[test]
fn what_a_companion_has_started_is_its_own_to_end() {
    let crew = Crew::start("hello", &shell("a", PARENT, ""));
    crew.runs("a");
    let child = child(&crew);
    crew.order("stop", "a");
    crew.reaches("a", "STOPPED");
    assert!(lives(child));
    support::kill(child, libc::SIGKILL);
    crew.is_gone(child);
    crew.ends(&["child", "told"]);
}

#[test]
fn with_kill_as_group_nothing_of_a_companion_is_left_whatever_ends_it() {
    let crew = Crew::start("hello", &shell("a", PARENT, "kill_as_group = true"));
    let before = crew.runs("a");
    let first = child(&crew);
    support::kill(before, libc::SIGKILL);
    crew.is_gone(first);
    crew.runs_anew("a", before);
    crew.service().wait_for("another child", || (child(&crew) != first).then_some(()));
    let second = child(&crew);
    crew.order("stop", "a");
    crew.is_gone(second);
    crew.ends(&["child", "told"]);
}

#[test]
fn with_stop_as_group_what_a_companion_has_started_is_told_too() {
    let crew = Crew::start("hello", &shell("a", FAMILY, "stop_as_group = true"));
    crew.runs("a");
    let child = child(&crew);
    crew.order("stop", "a");
    crew.reaches("a", "STOPPED");
    crew.is_gone(child);
    let mut told = crew.lines("told");
    told.sort();
    assert_eq!(told, ["child", "told"]);
    crew.ends(&["child", "told"]);
}

/// The process that a companion has started.
fn child(crew: &Crew) -> u32 {
    crew.service().wait_for("the pid of a child", || crew.lines("child").first()?.parse().ok())
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
