//! Workers that another pool left.

use super::*;

#[test]
fn adopted_workers_serve_at_once_and_nothing_is_spawned_for_them() {
    let mut rig = Rig::adopting(2, &[], &[w(0, 3), w(1, 1)]);
    assert_eq!(rig.perform(), [Action::Serve(w(0, 3)), Action::Serve(w(1, 1)), Action::Booted]);
    assert_eq!(rig.deadline_in(), None);
    let workers: Vec<_> = rig.pool.workers().collect();
    assert_eq!(workers, [(w(0, 3), WorkerState::Serving), (w(1, 1), WorkerState::Serving)]);
}

#[test]
fn a_slot_without_an_adopted_worker_is_spawned_as_usual() {
    let mut rig = Rig::adopting(2, &[], &[w(1, 2)]);
    assert_eq!(rig.perform(), [Action::Serve(w(1, 2)), Action::Booted, Action::Spawn(w(0, 1))]);
    assert_eq!(rig.send(Event::Ready(w(0, 1))), [Action::Serve(w(0, 1))]);
}

#[test]
fn names_of_the_past_are_not_given_again() {
    let mut rig = Rig::adopting(2, &[w(0, 7), w(1, 5), w(0, 6)], &[w(1, 4)]);
    assert_eq!(rig.perform(), [Action::Serve(w(1, 4)), Action::Booted, Action::Spawn(w(0, 8))]);
    let actions = rig.send(exited(w(1, 4)));
    assert_eq!(actions, [gone(w(1, 4), Departure::Crashed), Action::Spawn(w(1, 6))]);
}

#[test]
fn an_adopted_worker_that_crashes_is_replaced_in_its_slot() {
    let mut rig = Rig::adopting(1, &[], &[w(0, 3)]);
    rig.perform();
    let status = ExitStatus::Unknown;
    let actions = rig.send(Event::Exited(w(0, 3), status));
    let lost = Action::Gone { worker: w(0, 3), departure: Departure::Crashed, status: Some(status) };
    assert_eq!(actions, [lost, Action::Spawn(w(0, 4))]);
}

#[test]
fn a_failed_start_beside_adopted_workers_ends_nothing() {
    let mut rig = Rig::adopting(2, &[], &[w(0, 1)]);
    rig.perform();
    rig.send(Event::InitFailed(w(1, 1), "no model".to_owned()));
    let actions = rig.send(exited(w(1, 1)));
    assert!(matches!(actions[..], [Action::Gone { .. }, Action::BackingOff { slot: 1, .. }]), "{actions:?}");
    assert_eq!(rig.pool.worker_state(w(0, 1)), Some(WorkerState::Serving));
}

#[test]
fn a_failed_start_is_tried_again_even_if_nobody_was_left_to_adopt() {
    let mut rig = Rig::adopting(1, &[w(0, 1)], &[]);
    assert_eq!(rig.perform(), [Action::Booted, Action::Spawn(w(0, 2))]);
    let actions = rig.send(exited(w(0, 2)));
    assert!(matches!(actions[..], [Action::Gone { .. }, Action::BackingOff { slot: 0, .. }]), "{actions:?}");
    assert_eq!(rig.after(2), [Action::Spawn(w(0, 3))]);
    assert_eq!(rig.send(Event::Ready(w(0, 3))), [Action::Serve(w(0, 3))]);
}

#[test]
fn a_pool_that_had_grown_keeps_its_size() {
    let mut rig = Rig::adopting(1, &[], &[w(0, 1), w(2, 1)]);
    rig.perform();
    assert_eq!(rig.pool.slots().collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn of_two_in_one_slot_the_first_is_adopted() {
    let mut rig = Rig::adopting(1, &[], &[w(0, 2), w(0, 1)]);
    assert_eq!(rig.perform(), [Action::Serve(w(0, 2)), Action::Booted]);
    assert_eq!(rig.pool.worker_state(w(0, 1)), None);
}

#[test]
fn a_reload_replaces_adopted_workers() {
    let mut rig = Rig::adopting(1, &[], &[w(0, 3)]);
    rig.perform();
    assert_eq!(rig.send(Event::Reload), [Action::ReloadStarted, Action::Spawn(w(0, 4))]);
    let actions = rig.send(Event::Ready(w(0, 4)));
    assert_eq!(actions, [Action::Serve(w(0, 4)), Action::Drain(w(0, 3)), Action::ReloadDone]);
    assert_eq!(rig.send(Event::Drained(w(0, 3))), [term(w(0, 3))]);
    assert_eq!(rig.send(exited(w(0, 3))), [gone(w(0, 3), Departure::Retired)]);
}

#[test]
fn a_stop_ends_adopted_workers() {
    let mut rig = Rig::adopting(1, &[], &[w(0, 3)]);
    rig.perform();
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), [term(w(0, 3))]);
    assert_eq!(rig.after(30), [kill(w(0, 3))]);
    assert_eq!(rig.send(exited(w(0, 3))), [gone(w(0, 3), Departure::Stopped), Action::PoolStopped]);
}
