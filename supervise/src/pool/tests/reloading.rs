//! The new generation beside the old one.

use super::*;

#[test]
fn the_new_generation_serves_before_the_old_one_drains() {
    let mut rig = Rig::booted(2);
    assert_eq!(
        rig.send(Event::Reload),
        [Action::ReloadStarted, Action::Spawn(w(0, 2)), Action::Spawn(w(1, 2))]
    );
    assert_eq!(rig.send(Event::Ready(w(0, 2))), []);
    assert_eq!(
        rig.send(Event::Ready(w(1, 2))),
        [
            Action::Serve(w(0, 2)),
            Action::Serve(w(1, 2)),
            Action::Drain(w(0, 1)),
            Action::Drain(w(1, 1)),
            Action::ReloadDone,
        ]
    );
    assert_eq!(rig.send(Event::Drained(w(0, 1))), [term(w(0, 1))]);
    assert_eq!(rig.send(exited(w(0, 1))), [gone(w(0, 1), Departure::Retired)]);
}

#[test]
fn an_old_worker_that_never_drains_is_terminated_at_the_graceful_deadline_and_then_killed() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    assert_eq!(rig.after(30), [term(w(0, 1))]);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
}

#[test]
fn an_old_worker_that_drains_on_sigterm_has_the_whole_graceful_timeout() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    rig.send(Event::Drained(w(0, 1)));
    assert_eq!(rig.deadline_in(), Some(30));
    assert_eq!(rig.after(30), [kill(w(0, 1))]);
}

#[test]
fn a_new_worker_that_fails_leaves_the_old_generation_in_service() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    rig.send(Event::InitFailed(w(1, 2), "bad configuration".to_owned()));
    let actions = rig.send(exited(w(1, 2)));
    let expected = failure(w(1, 2), "bad configuration", Some(ExitStatus::Code(0)));
    assert_eq!(actions[1..], [Action::ReloadFailed(expected), term(w(0, 2))]);
    assert_eq!(rig.send(exited(w(0, 2))), [gone(w(0, 2), Departure::Retired)]);
    let states: Vec<_> = rig.pool.workers().collect();
    assert_eq!(states, [(w(0, 1), crate::WorkerState::Serving), (w(1, 1), crate::WorkerState::Serving)]);
}

#[test]
fn a_reload_that_hangs_fails_at_the_boot_timeout() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    assert_eq!(rig.after(60), [abort(w(0, 2))]);
    let actions = rig.send(Event::Exited(w(0, 2), crashed()));
    let expected = failure(w(0, 2), "not ready after 60s", Some(crashed()));
    assert_eq!(actions[1..], [Action::ReloadFailed(expected)]);
}

#[test]
fn a_new_worker_that_crashes_while_others_start_fails_the_reload() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    let actions = rig.send(Event::Exited(w(0, 2), crashed()));
    assert!(matches!(actions[1], Action::ReloadFailed(_)), "{actions:?}");
    assert_eq!(actions[2..], [term(w(1, 2))]);
}

#[test]
fn a_new_worker_that_hangs_while_others_start_never_takes_over() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    assert_eq!(rig.send(Event::HeartbeatStale(w(0, 2))), [abort(w(0, 2))]);
    assert_eq!(rig.send(Event::Ready(w(1, 2))), []);
    let actions = rig.send(Event::Exited(w(0, 2), crashed()));
    assert!(matches!(actions[1], Action::ReloadFailed(_)), "{actions:?}");
}

#[test]
fn an_old_worker_that_crashes_is_followed_by_its_successor_as_soon_as_that_is_ready() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    let actions = rig.send(Event::Exited(w(0, 1), crashed()));
    assert_eq!(actions[1..], [Action::Serve(w(0, 2))]);
    let actions = rig.send(Event::Exited(w(1, 1), crashed()));
    assert_eq!(actions[1..], []);
    assert_eq!(rig.send(Event::Ready(w(1, 2))), [Action::Serve(w(1, 2)), Action::ReloadDone]);
}

#[test]
fn a_crash_during_a_failing_reload_is_made_good() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Exited(w(0, 1), crashed()));
    let actions = rig.send(exited(w(0, 2)));
    assert!(matches!(actions[1], Action::ReloadFailed(_)), "{actions:?}");
    assert!(matches!(actions[3], Action::BackingOff { slot: 0, .. }), "{actions:?}");
    assert_eq!(rig.after(2), [kill(w(1, 2)), Action::Spawn(w(0, 3))]);
}

#[test]
fn a_reload_during_a_reload_follows_it() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    assert_eq!(rig.send(Event::Reload), []);
    assert_eq!(rig.send(Event::Reload), []);
    let actions = rig.send(Event::Ready(w(0, 2)));
    assert_eq!(actions[2..], [Action::ReloadDone, Action::ReloadStarted, Action::Spawn(w(0, 3))]);
    assert_eq!(rig.send(Event::Ready(w(0, 3))).last(), Some(&Action::ReloadDone));
}

#[test]
fn a_reload_during_the_boot_waits_for_its_end() {
    let mut rig = Rig::new(1);
    rig.perform();
    assert_eq!(rig.send(Event::Reload), []);
    assert_eq!(
        rig.send(Event::Ready(w(0, 1))),
        [Action::Serve(w(0, 1)), Action::Booted, Action::ReloadStarted, Action::Spawn(w(0, 2))]
    );
}

#[test]
fn a_reload_gives_a_slot_that_backs_off_a_new_chance_at_once() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Exited(w(0, 1), crashed()));
    rig.send(exited(w(0, 2)));
    assert!(rig.deadline_in().is_some());
    assert_eq!(rig.send(Event::Reload), [Action::ReloadStarted, Action::Spawn(w(0, 3))]);
    assert_eq!(rig.send(Event::Ready(w(0, 3))), [Action::Serve(w(0, 3)), Action::ReloadDone]);
}

#[test]
fn a_retired_worker_that_hangs_is_aborted() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    rig.send(Event::Condemn(w(0, 1), "hangs".to_owned()));
    assert_eq!(rig.after(10), [abort(w(0, 1))]);
    // Its seat is taken: no replacement.
    assert_eq!(rig.send(exited(w(0, 1))).len(), 1);
}

#[test]
fn a_stop_ends_a_reload() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Reload);
    let stop = rig.send(Event::Stop(crate::StopMode::Graceful));
    assert_eq!(stop, [term(w(0, 2)), term(w(0, 1))]);
    rig.send(exited(w(0, 2)));
    assert_eq!(rig.send(exited(w(0, 1))).last(), Some(&Action::PoolStopped));
}
