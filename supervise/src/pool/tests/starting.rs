//! Readiness, startup failures, crashes.

use super::*;

#[test]
fn a_worker_serves_once_it_says_it_is_ready() {
    let mut rig = Rig::new(2);
    assert_eq!(rig.perform(), [Action::Spawn(w(0, 1)), Action::Spawn(w(1, 1))]);
    assert_eq!(rig.send(Event::Ready(w(1, 1))), [Action::Serve(w(1, 1))]);
    assert_eq!(rig.send(Event::Ready(w(0, 1))), [Action::Serve(w(0, 1)), Action::Booted]);
    assert_eq!(rig.deadline_in(), None);
}

#[test]
fn ready_twice_is_ready_once() {
    let mut rig = Rig::booted(1);
    assert_eq!(rig.send(Event::Ready(w(0, 1))), []);
}

#[test]
fn a_failed_init_in_the_first_generation_ends_everything_with_the_childs_words() {
    let mut rig = Rig::new(2);
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    assert_eq!(rig.send(Event::InitFailed(w(1, 1), "no model".to_owned())), []);
    let status = ExitStatus::Code(4);
    let actions = rig.send(Event::Exited(w(1, 1), status));
    let departure = Departure::StartupFailed("no model".to_owned());
    assert_eq!(
        actions,
        [
            Action::Gone { worker: w(1, 1), departure, status: Some(status) },
            Action::GiveUp(failure(w(1, 1), "no model", Some(status))),
            term(w(0, 1)),
        ]
    );
    let end = rig.send(exited(w(0, 1)));
    assert_eq!(end, [gone(w(0, 1), Departure::Stopped), Action::PoolStopped]);
    assert!(rig.pool.is_stopped());
}

#[test]
fn an_end_without_a_word_before_ready_is_told_by_its_status() {
    let mut rig = Rig::new(1);
    rig.perform();
    let actions = rig.send(Event::Exited(w(0, 1), crashed()));
    let expected = "killed by signal 11 (SIGSEGV) before it was ready";
    assert!(actions.contains(&Action::GiveUp(failure(w(0, 1), expected, Some(crashed())))), "{actions:?}");
    assert_eq!(actions.last(), Some(&Action::PoolStopped));
}

#[test]
fn a_failed_fork_in_the_first_generation_ends_everything() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.pool.poll_action(), Some(Action::Spawn(w(0, 1))));
    let actions = rig.send(Event::SpawnFailed(w(0, 1), "too many threads".to_owned()));
    assert_eq!(actions[1], Action::GiveUp(failure(w(0, 1), "too many threads", None)));
    assert_eq!(actions[2], Action::PoolStopped);
}

#[test]
fn the_exit_code_tells_an_application_that_cannot_be_loaded() {
    assert_eq!(failure(w(0, 1), "", Some(ExitStatus::Code(4))).exit_code(), 4);
    assert_eq!(failure(w(0, 1), "", Some(ExitStatus::Code(1))).exit_code(), 3);
    assert_eq!(failure(w(0, 1), "", Some(crashed())).exit_code(), 3);
    assert_eq!(failure(w(0, 1), "", None).exit_code(), 3);
}

#[test]
fn a_worker_that_says_it_failed_but_stays_is_killed() {
    let mut rig = Rig::new(1);
    rig.perform();
    rig.send(Event::InitFailed(w(0, 1), "no model".to_owned()));
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_ended_and_has_failed_to_start() {
    let mut rig = Rig::new(1);
    rig.perform();
    assert_eq!(rig.deadline_in(), Some(60));
    assert_eq!(rig.after(59), []);
    assert_eq!(rig.after(1), [abort(w(0, 1))]);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
    let actions = rig.send(Event::Exited(w(0, 1), crashed()));
    assert_eq!(actions[1], Action::GiveUp(failure(w(0, 1), "not ready after 60s", Some(crashed()))));
}

#[test]
fn without_a_boot_timeout_a_worker_may_start_for_ever() {
    let mut rig = Rig::with(PoolConfig { boot_timeout: None, ..config() });
    rig.perform();
    assert_eq!(rig.deadline_in(), None);
    assert_eq!(rig.after(1_000_000), []);
}

#[test]
fn a_first_crash_is_answered_at_once_in_the_same_slot() {
    let mut rig = Rig::booted(2);
    let actions = rig.send(Event::Exited(w(1, 1), crashed()));
    let departure = Departure::Crashed;
    assert_eq!(
        actions,
        [Action::Gone { worker: w(1, 1), departure, status: Some(crashed()) }, Action::Spawn(w(1, 2))]
    );
    assert_eq!(rig.send(Event::Ready(w(1, 2))), [Action::Serve(w(1, 2))]);
}

#[test]
fn a_crash_during_the_boot_is_a_crash() {
    let mut rig = Rig::new(2);
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    let actions = rig.send(Event::Exited(w(0, 1), crashed()));
    assert_eq!(actions[1], Action::Spawn(w(0, 2)));
}

#[test]
fn a_slot_that_keeps_crashing_waits_ever_longer_while_others_do_not() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Exited(w(0, 1), crashed()));
    rig.send(Event::Ready(w(0, 2)));
    let actions = rig.send(Event::Exited(w(0, 2), crashed()));
    assert!(matches!(actions[1], Action::BackingOff { slot: 0, failure_count: 2, .. }), "{actions:?}");
    assert_eq!(rig.deadline_in(), Some(1));
    assert_eq!(rig.after(2), [Action::Spawn(w(0, 3))]);
    rig.send(Event::Ready(w(0, 3)));
    rig.send(Event::Exited(w(0, 3), crashed()));
    assert_eq!(rig.deadline_in(), Some(2));
    let other = rig.send(Event::Exited(w(1, 1), crashed()));
    assert_eq!(other[1], Action::Spawn(w(1, 2)));
}

#[test]
fn a_replacement_that_fails_to_start_backs_off_while_others_serve() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Exited(w(0, 1), crashed()));
    rig.send(Event::InitFailed(w(0, 2), "no licence".to_owned()));
    let actions = rig.send(exited(w(0, 2)));
    assert_eq!(actions[0], gone(w(0, 2), Departure::StartupFailed("no licence".to_owned())));
    assert!(matches!(actions[1], Action::BackingOff { slot: 0, .. }), "{actions:?}");
    assert_eq!(actions.len(), 2);
}

#[test]
fn a_failed_fork_later_on_backs_off() {
    let mut rig = Rig::booted(1);
    rig.pool.handle(Event::Exited(w(0, 1), crashed()), rig.now);
    rig.pool.poll_action();
    assert_eq!(rig.pool.poll_action(), Some(Action::Spawn(w(0, 2))));
    let actions = rig.send(Event::SpawnFailed(w(0, 2), "no memory".to_owned()));
    assert!(matches!(actions[1], Action::BackingOff { slot: 0, .. }), "{actions:?}");
    assert_eq!(rig.after(2), [Action::Spawn(w(0, 3))]);
}

#[test]
fn a_limited_restart_intensity_ends_in_giving_up() {
    let restarts = RestartPolicy { intensity: Some(1), ..config().restarts };
    let mut rig = Rig::with(PoolConfig { restarts, ..config() });
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    rig.send(Event::Exited(w(0, 1), crashed()));
    rig.send(Event::Ready(w(0, 2)));
    let actions = rig.send(Event::Exited(w(0, 2), crashed()));
    let expected =
        StartupFailure { restarts: 1, ..failure(w(0, 2), &crashed().to_string(), Some(crashed())) };
    assert_eq!(actions[1], Action::GiveUp(expected));
    assert_eq!(actions[2], Action::PoolStopped);
}

#[test]
fn late_news_of_an_old_generation_changes_nothing() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Exited(w(0, 1), crashed()));
    for event in [
        Event::Spawned(w(0, 1)),
        Event::SpawnFailed(w(0, 1), String::new()),
        Event::Ready(w(0, 1)),
        Event::InitFailed(w(0, 1), String::new()),
        Event::Exited(w(0, 1), crashed()),
        Event::Condemn(w(0, 1), String::new()),
        Event::Drained(w(0, 1)),
        Event::HeartbeatStale(w(0, 1)),
        Event::Ready(w(7, 7)),
    ] {
        assert_eq!(rig.send(event.clone()), [], "{event:?}");
    }
    assert_eq!(rig.deadline_in(), Some(60));
}
