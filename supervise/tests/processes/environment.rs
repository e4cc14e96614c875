//! The environment, and the allocator.

use std::env;
use std::process::Command;

use gunmetal_supervise::{ThreadsError, keep_large_buffers, remove_env, set_env};
use nix::sys::resource::{UsageWho, getrusage};

use crate::Case;
use crate::cases::child;

pub(crate) const CASES: &[Case] = &[
    ("environment::a_variable_reaches_forked_and_executed_children", a_variable_reaches_children),
    ("environment::a_process_with_threads_may_not_change_it", a_process_with_threads_may_not_change_it),
    #[cfg(target_env = "gnu")]
    ("environment::large_buffers_are_faulted_in_once", large_buffers_are_faulted_in_once),
];

fn a_variable_reaches_children() {
    set_env("GUNMETAL_TEST_VALUE", "yes").unwrap();
    let mut forked = child(|_| i32::from(env::var("GUNMETAL_TEST_VALUE").as_deref() == Ok("yes")));
    assert_eq!(forked.wait_in_time().code(), Some(1));
    let executed = || Command::new("sh").args(["-c", "echo $GUNMETAL_TEST_VALUE"]).output().unwrap().stdout;
    assert_eq!(executed(), b"yes\n");
    remove_env("GUNMETAL_TEST_VALUE").unwrap();
    assert_eq!(executed(), b"\n");
}

fn a_process_with_threads_may_not_change_it() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let error = set_env("GUNMETAL_TEST_VALUE", "yes").unwrap_err();
    assert!(matches!(error, ThreadsError::Many { .. }), "{error}");
    assert!(env::var_os("GUNMETAL_TEST_VALUE").is_none());
    drop(stop);
    let _ = thread.join();
}

#[cfg(target_env = "gnu")]
fn large_buffers_are_faulted_in_once() {
    let fill = || std::hint::black_box(vec![1_u8; 16 << 20]).len();
    let faults = || getrusage(UsageWho::RUSAGE_SELF).unwrap().minor_page_faults();
    assert!(keep_large_buffers());
    fill();
    let before = faults();
    for _ in 0..10 {
        fill();
    }
    // Given back each time, these would be 40,960 faults with 4 KiB pages.
    let count = faults() - before;
    assert!(count < 100, "{count} page faults");
}
