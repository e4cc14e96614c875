//! Fork, exit statuses, handles.

use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use gunmetal_supervise::{
    ExitStatus, Fork, ForkError, Poller, Readiness, RunDir, Signal, ThreadsError, fork, readiness_pipe,
    reap_orphans,
};

use crate::Case;
use crate::cases::{await_go, child, go, pipe, program, sleep_long, soon};

pub(crate) const CASES: &[Case] = &[
    ("forking::an_exit_code_arrives", an_exit_code_arrives),
    ("forking::a_child_that_panics_exits_with_101", a_child_that_panics_exits_with_101),
    ("forking::a_killed_child_names_its_signal", a_killed_child_names_its_signal),
    ("forking::both_sides_of_a_bare_fork_know_who_they_are", both_sides_of_a_bare_fork_know_who_they_are),
    ("forking::a_process_with_threads_refuses_and_names_them", a_process_with_threads_refuses_and_names_them),
    ("forking::a_thread_that_was_joined_is_no_obstacle", a_thread_that_was_joined_is_no_obstacle),
    (
        "forking::the_handle_is_readable_when_the_child_has_ended",
        the_handle_is_readable_when_the_child_has_ended,
    ),
    ("forking::signalling_an_ended_child_is_no_error", signalling_an_ended_child_is_no_error),
    ("forking::buffered_output_is_written_once", buffered_output_is_written_once),
    ("forking::a_child_that_dies_before_it_is_ready_says_so", a_child_that_dies_before_it_is_ready_says_so),
    ("forking::an_init_error_reaches_the_parent_whole", an_init_error_reaches_the_parent_whole),
    ("forking::a_child_leaves_its_parents_run_dir_alone", a_child_leaves_its_parents_run_dir_alone),
    ("forking::own_children_are_not_reaped_as_orphans", own_children_are_not_reaped_as_orphans),
    ("forking::waiting_ends_at_the_deadline", waiting_ends_at_the_deadline),
];

pub(crate) const PROGRAMS: &[Case] = &[("program::buffers_output_and_forks", buffers_output_and_forks)];

fn an_exit_code_arrives() {
    let mut child = child(|_| 42);
    assert_eq!(child.wait_in_time(), ExitStatus::Code(42));
    assert_eq!(child.try_wait().unwrap(), Some(ExitStatus::Code(42)), "the same answer ever after");
}

fn a_child_that_panics_exits_with_101() {
    let mut child = child(|_| panic!("on purpose"));
    assert_eq!(child.wait_in_time(), ExitStatus::Code(101));
}

fn a_killed_child_names_its_signal() {
    let mut child = child(|_| sleep_long());
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(Signal::SIGKILL).unwrap();
    assert_eq!(child.wait_in_time().to_string(), "killed by signal 9 (SIGKILL)");
}

fn both_sides_of_a_bare_fork_know_who_they_are() {
    let before = nix::unistd::getpid();
    match fork().unwrap() {
        Fork::Parent(mut child) => {
            assert_ne!(child.pid(), before);
            assert_eq!(child.wait().unwrap(), ExitStatus::Code(5));
        }
        Fork::Child(_) => std::process::exit(if nix::unistd::getppid() == before { 5 } else { 6 }),
    }
}

fn a_process_with_threads_refuses_and_names_them() {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread =
        thread::Builder::new().name("model-pool-0".to_owned()).spawn(move || stopped.recv()).unwrap();
    let error = fork().unwrap_err();
    let ForkError::Threads(ThreadsError::Many { names }) = &error else { panic!("{error:?}") };
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name == "model-pool-0"), "{names:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("model-pool-0"), "{cause}");
    drop(stop);
    let _ = thread.join();
}

fn a_thread_that_was_joined_is_no_obstacle() {
    for _ in 0..50 {
        thread::spawn(|| {}).join().unwrap();
        assert_eq!(child(|_| 0).wait_in_time(), ExitStatus::Code(0));
    }
}

fn the_handle_is_readable_when_the_child_has_ended() {
    let (start, started) = pipe();
    let mut child = child(|_| {
        await_go(&start);
        0
    });
    let mut poller = Poller::new();
    poller.readable(&*child, "ended");
    assert!(poller.wait(Some(Instant::now())).unwrap().is_empty());
    go(&started);
    let mut poller = Poller::new();
    poller.readable(&*child, "ended");
    assert_eq!(poller.wait(Some(soon())).unwrap(), ["ended"]);
    child.wait_in_time();
}

fn signalling_an_ended_child_is_no_error() {
    let mut child = child(|_| 0);
    let mut poller = Poller::new();
    poller.readable(&*child, ());
    poller.wait(Some(soon())).unwrap();
    child.signal(Signal::SIGTERM).unwrap();
    child.wait_in_time();
    child.signal(Signal::SIGTERM).unwrap();
}

fn buffered_output_is_written_once() {
    let output = program("program::buffers_output_and_forks", |path| Command::new(path));
    assert_eq!(output, "parent child ");
}

/// Writes no newline, so that what is written stays in the buffer.
fn buffers_output_and_forks() {
    print!("parent ");
    let mut child = child(|_| {
        print!("child ");
        0
    });
    child.wait_in_time();
}

fn a_child_that_dies_before_it_is_ready_says_so() {
    let (mut reader, writer) = readiness_pipe().unwrap();
    let child = child(|_| {
        let _writer = writer;
        sleep_long()
    });
    assert_eq!(reader.read().unwrap(), None);
    child.signal(Signal::SIGKILL).unwrap();
    let mut poller = Poller::new();
    poller.readable(&reader, ());
    assert_eq!(poller.wait(Some(soon())).unwrap(), [()]);
    assert_eq!(reader.read().unwrap(), Some(Readiness::Died));
}

fn an_init_error_reaches_the_parent_whole() {
    let (reader, writer) = readiness_pipe().unwrap();
    let mut child = child(|_| {
        writer.failed(&"no model\n".repeat(3000)).unwrap();
        3
    });
    assert_eq!(child.wait_in_time(), ExitStatus::Code(3));
    assert_eq!(reader.last_words(), Readiness::Failed("no model\n".repeat(3000)));
}

fn a_child_leaves_its_parents_run_dir_alone() {
    let base = tempfile::tempdir().unwrap();
    let dir = RunDir::create(base.path().join("run"), None).unwrap();
    let path = dir.path().to_owned();
    match fork().unwrap() {
        Fork::Parent(mut child) => assert_eq!(child.wait().unwrap(), ExitStatus::Code(0)),
        Fork::Child(_) => {
            drop(dir);
            std::process::exit(0)
        }
    }
    assert!(path.exists());
}

fn own_children_are_not_reaped_as_orphans() {
    let mut own = child(|_| 9);
    let mut poller = Poller::new();
    poller.readable(&*own, ());
    poller.wait(Some(soon())).unwrap();
    assert_eq!(reap_orphans(|pid| pid == own.pid()), []);
    assert_eq!(own.wait_in_time(), ExitStatus::Code(9));
}

fn waiting_ends_at_the_deadline() {
    let (reader, _writer) = pipe();
    let deadline = Instant::now() + std::time::Duration::from_millis(20);
    let mut poller = Poller::new();
    poller.readable(&reader, ());
    assert!(poller.wait(Some(deadline)).unwrap().is_empty());
    assert!(Instant::now() >= deadline);
}
