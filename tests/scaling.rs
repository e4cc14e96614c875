//! More and fewer dirty workers, by signal and by MANAGE: drained, honest, and never too few.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gunmetal::blocking::Client;
use gunmetal::client::{CallError, ManageReply};
use gunmetal::protocol::ManageOp;
use gunmetal::{Value, args};
use libc::{SIGHUP, SIGTTIN, SIGTTOU, SIGUSR2, SIGWINCH};
use support::Service;
use support::probe::{APP, client, wait_until_running, worker_pids};

const LIMITED: &str = "bench_app:LimitedApp";
const ATTR_LIMITED: &str = "bench_app:AttrLimitedApp";

/// The probe with these apps, all of its `ready` workers ready, and files that delay their start and make them fail.
struct Scaled {
    service: Service,
    client: Client,
    directory: tempfile::TempDir,
}

impl Scaled {
    fn start(apps: &[&str], workers: &str, ready: usize) -> Scaled {
        Scaled::with(&[], apps, workers, ready)
    }

    fn with(more: &[&str], apps: &[&str], workers: &str, ready: usize) -> Scaled {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let environment = [("BENCH_INIT_DELAY_FILE", path("delay")), ("BENCH_INIT_FAIL_FILE", path("fail"))];
        let environment: Vec<_> = environment.iter().map(|(name, path)| (*name, path.as_str())).collect();
        let mut flags = vec!["--dirty-workers", workers, "--dirty-threads", "2"];
        apps.iter().for_each(|app| flags.extend(["--dirty-app", app]));
        flags.extend_from_slice(more);
        let service = Service::probe(&flags, &environment);
        let client = client(&service);
        let scaled = Scaled { service, client, directory };
        scaled.wait_for_count(ready);
        scaled
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits until so many workers serve and no other is left.
    fn wait_for_count(&self, count: usize) {
        self.service.wait_for("the workers", || {
            let workers = self.client.status().unwrap().workers;
            let serving = workers.iter().filter(|worker| worker.state.as_deref() == Some("serving")).count();
            (serving == count && workers.len() == count).then_some(())
        });
    }

    fn wait_for_log(&self, words: &str) {
        self.service
            .wait_for(words, || self.service.log().iter().any(|line| line.contains(words)).then_some(()));
    }

    fn add(&self, count: u32) -> ManageReply {
        self.client.manage(ManageOp::Add, count).unwrap()
    }

    fn remove(&self, count: u32) -> ManageReply {
        self.client.manage(ManageOp::Remove, count).unwrap()
    }

    fn pid_of(&self, app: &str) -> i64 {
        self.client.execute(app, "pid", ()).unwrap()
    }
}

#[test]
fn ttin_and_ttou_change_the_number_by_one_and_stop_at_the_minimum() {
    let probe = Scaled::start(&[APP, ATTR_LIMITED], "2", 2);
    probe.service.signal(SIGTTIN);
    probe.wait_for_count(3);
    probe.service.signal(SIGTTOU);
    probe.wait_for_count(2);
    probe.service.signal(SIGTTOU);
    probe.wait_for_log("SIGTTOU: Cannot decrease below 2 workers (required by app specs)");
    probe.wait_for_count(2);
}

#[test]
fn where_there_are_no_workers_none_is_taken_away() {
    let probe = Scaled::start(&["bench_app:BenchApp:0"], "1", 0);
    probe.service.signal(SIGTTOU);
    probe.wait_for_log("SIGTTOU: There are no workers");
    let reply = probe.remove(1);
    assert_eq!((reply.removed, reply.reason.as_deref()), (0, Some("There are no workers")));
}

#[test]
fn ttou_lets_calls_finish_and_spares_the_worker_that_alone_has_an_app() {
    let probe = Scaled::start(&[APP, "bench_app:LimitedApp:1"], "3", 3);
    let limited = probe.pid_of(LIMITED);
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let client = probe.client.clone();
            thread::spawn(move || client.execute::<f64>(APP, "sleep", args![1.5]))
        })
        .collect();
    wait_until_running(&probe.service, &probe.client, 6);
    for left in [2, 1] {
        probe.service.signal(SIGTTOU);
        probe.wait_for_log(&format!("SIGTTOU: Decreasing dirty workers to {left}"));
    }
    for call in calls {
        assert_eq!(call.join().unwrap().unwrap(), 1.5);
    }
    probe.wait_for_count(1);
    assert_eq!(probe.pid_of(LIMITED), limited);
}

#[test]
fn ttin_starts_nobody_who_would_have_nothing_to_do() {
    let probe = Scaled::start(&["bench_app:LimitedApp:2"], "4", 2);
    probe.wait_for_log("the apps are limited to 2 workers");
    probe.service.signal(SIGTTIN);
    probe.wait_for_log("SIGTTIN: All apps have reached their worker limits");
    probe.wait_for_count(2);
}

#[test]
fn usr2_and_winch_do_nothing_and_say_so() {
    let probe = Scaled::start(&[APP], "1", 1);
    let pid = probe.pid_of(APP);
    probe.service.signal(SIGUSR2);
    probe.service.signal(SIGWINCH);
    probe.wait_for_log("SIGUSR2 does nothing in the dirty arbiter");
    probe.wait_for_log("SIGWINCH does nothing in the dirty arbiter");
    assert_eq!(probe.pid_of(APP), pid);
}

#[test]
fn a_reload_that_fails_keeps_the_workers_and_their_calls() {
    let probe = Scaled::start(&[APP, "bench_app:LimitedApp:1"], "2", 2);
    let before = worker_pids(&probe.client);
    std::fs::write(probe.file("fail"), "").unwrap();
    probe.service.signal(SIGHUP);
    probe.wait_for_log("reload failed, the old generation stays in service");
    assert_eq!(probe.pid_of(LIMITED), before[0]);
    probe.wait_for_count(2);
    assert_eq!(worker_pids(&probe.client), before);

    std::fs::remove_file(probe.file("fail")).unwrap();
    probe.service.signal(SIGHUP);
    probe.wait_for_log("reload done");
    probe.wait_for_count(2);
    assert!(worker_pids(&probe.client).iter().all(|pid| !before.contains(pid)));
}

#[test]
fn added_workers_are_ready_when_the_answer_comes() {
    let probe = Scaled::start(&[APP], "1", 1);
    let reply = probe.add(2);
    assert_eq!((reply.success, reply.operation.as_str()), (true, "add"));
    assert_eq!((reply.requested, reply.spawned, reply.starting, reply.failed), (2, 2, 0, 0));
    assert_eq!((reply.total_workers, reply.target_workers, reply.reason), (3, 3, None));
    assert_eq!(worker_pids(&probe.client).len(), 3);
}

#[test]
fn added_workers_that_still_start_after_five_seconds_are_told_as_such() {
    let probe = Scaled::start(&[APP], "1", 1);
    std::fs::write(probe.file("delay"), "600").unwrap();
    let reply = probe.add(1);
    assert_eq!((reply.success, reply.spawned, reply.starting), (true, 1, 1));
    let status = probe.client.status().unwrap();
    assert_eq!(status.workers.iter().map(|worker| worker.booted).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn added_workers_that_fail_are_not_counted_and_the_reason_is_told() {
    let probe = Scaled::start(&[APP], "1", 1);
    std::fs::write(probe.file("fail"), "").unwrap();
    let reply = probe.add(2);
    assert_eq!((reply.success, reply.spawned, reply.failed), (false, 0, 2));
    assert!(reply.reason.as_ref().is_some_and(|reason| reason.contains("init told to fail")), "{reply:?}");
    assert_eq!(reply.target_workers, 3);
    // They are tried again.
    std::fs::remove_file(probe.file("fail")).unwrap();
    probe.wait_for_count(3);
}

#[test]
fn adding_when_every_app_is_at_its_limit_says_so() {
    let probe = Scaled::start(&["bench_app:LimitedApp:1", ATTR_LIMITED], "1", 1);
    let reply = probe.add(3);
    assert_eq!((reply.success, reply.requested, reply.spawned), (true, 3, 1));
    assert_eq!(reply.reason.as_deref(), Some("All apps have reached their worker limits"));
    let reply = probe.add(1);
    assert_eq!((reply.success, reply.spawned, reply.total_workers, reply.target_workers), (true, 0, 2, 2));
    assert_eq!(reply.reason.as_deref(), Some("All apps have reached their worker limits"));
    probe.wait_for_count(2);
}

#[test]
fn a_number_that_nobody_can_mean_starts_nobody() {
    let probe = Scaled::start(&[APP], "1", 1);
    let error = probe.client.manage(ManageOp::Add, u32::MAX).unwrap_err();
    let CallError::Other { message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(message, "cannot add 4294967295 workers: there may be 256 at most, and there are 1");
    probe.wait_for_count(1);
}

#[test]
fn removing_stops_at_the_minimum_and_says_why() {
    let probe = Scaled::start(&[APP, ATTR_LIMITED], "4", 4);
    let reply = probe.remove(1);
    assert_eq!((reply.success, reply.operation.as_str()), (true, "remove"));
    assert_eq!((reply.requested, reply.removed, reply.target_workers), (1, 1, 3));
    assert_eq!(reply.reason, None);
    let reply = probe.remove(u32::MAX);
    assert_eq!((reply.success, reply.removed, reply.target_workers), (true, 1, 2));
    let words = "Cannot decrease below 2 workers (required by app specs)";
    assert_eq!(reply.reason.as_deref(), Some(words));
    probe.wait_for_count(2);
    let reply = probe.remove(1);
    assert_eq!((reply.success, reply.removed, reply.reason.as_deref()), (true, 0, Some(words)));
    assert_eq!(reply.total_workers, 2);
}

/// Signals at any moment, while workers boot, reload, drain and are recycled.
#[test]
fn storms_of_signals_lose_no_call_and_end_at_the_right_number() {
    let apps = [APP, "bench_app:LimitedApp:1"];
    let probe = Scaled::with(&["--dirty-max-requests", "20"], &apps, "2", 2);
    std::fs::write(probe.file("delay"), "0.03").unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for app in [APP, LIMITED, APP] {
            let (client, over) = (probe.client.clone(), &over);
            scope.spawn(move || {
                let mut i = 0_i64;
                while !over.load(Ordering::Relaxed) {
                    i += 1;
                    assert_eq!(client.execute::<i64>(app, "echo", args![i]).unwrap(), i);
                    let chunks: Result<Vec<Value>, _> =
                        client.stream(app, "stream_slow", args![3, 0.002]).collect();
                    assert_eq!(chunks.unwrap().len(), 3);
                }
            });
        }
        // So that a caller that fails ends the test, not only itself.
        let end = EndOnDrop(&over);
        let mut draw = 12345_u32;
        for _ in 0..400 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let signal = [SIGTTIN, SIGTTOU, SIGHUP, SIGTTIN, SIGTTOU][(draw >> 16) as usize % 5];
            probe.service.signal(signal);
            thread::sleep(std::time::Duration::from_millis(u64::from((draw >> 8) % 12)));
        }
        drop(end);
    });
    // What it wants now, whatever it made of signals that came together.
    let wanted = probe.remove(0).target_workers;
    assert!(wanted >= 1);
    probe.wait_for_count(usize::try_from(wanted).unwrap());
    probe.pid_of(LIMITED);
    // Nobody who served was ended by force. (Who is taken back while it starts is killed if it does not listen.)
    assert!(!probe.service.log().iter().any(|line| line.contains("SIGABRT")), "somebody was aborted");
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
