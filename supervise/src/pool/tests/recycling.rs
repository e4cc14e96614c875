//! One worker replaced while it serves.

use super::*;

fn recycle(worker: WorkerId) -> Event {
    Event::Recycle(worker, "answered 100 calls".to_owned())
}

fn started(worker: WorkerId) -> Action {
    Action::RecycleStarted { worker, reason: "answered 100 calls".to_owned() }
}

/// A pool whose workers have served for long enough to be recycled at once.
fn seasoned(size: u32) -> Rig {
    let mut rig = Rig::booted(size);
    rig.after(5);
    rig
}

fn states(rig: &Rig) -> Vec<(WorkerId, crate::WorkerState)> {
    rig.pool.workers().collect()
}

#[test]
fn the_successor_serves_before_the_old_worker_drains() {
    let mut rig = seasoned(2);
    assert_eq!(rig.send(recycle(w(1, 1))), [started(w(1, 1)), Action::Spawn(w(1, 2))]);
    assert_eq!(rig.pool.worker_state(w(1, 1)), Some(crate::WorkerState::Serving));
    assert_eq!(rig.send(Event::Ready(w(1, 2))), [Action::Serve(w(1, 2)), Action::Drain(w(1, 1))]);
    assert_eq!(rig.send(Event::Drained(w(1, 1))), [term(w(1, 1))]);
    assert_eq!(rig.send(exited(w(1, 1))), [gone(w(1, 1), Departure::Retired)]);
    assert_eq!(rig.deadline_in(), None);
}

#[test]
fn what_runs_in_the_old_worker_takes_the_time_it_needs() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    rig.send(Event::Ready(w(0, 2)));
    assert_eq!(rig.deadline_in(), None);
    assert_eq!(rig.after(100_000), []);
    // But not if it hangs, and not if everything ends.
    rig.send(Event::Condemn(w(0, 1), "hangs".to_owned()));
    assert_eq!(rig.after(10), [abort(w(0, 1))]);
}

#[test]
fn workers_that_take_their_time_do_not_pile_up() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    rig.send(Event::Ready(w(0, 2)));
    rig.after(5);
    assert_eq!(rig.send(recycle(w(0, 2))), [], "its predecessor is still there");
    rig.send(Event::Drained(w(0, 1)));
    let actions = rig.send(exited(w(0, 1)));
    assert_eq!(actions, [gone(w(0, 1), Departure::Retired), started(w(0, 2)), Action::Spawn(w(0, 3))]);
}

#[test]
fn a_stop_waits_for_a_recycled_worker_no_longer_than_for_others() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    rig.send(Event::Ready(w(0, 2)));
    rig.send(Event::Stop(crate::StopMode::Graceful));
    assert_eq!(rig.after(30), [kill(w(0, 1)), kill(w(0, 2))]);
}

#[test]
fn asking_twice_is_asking_once() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    rig.send(Event::Ready(w(0, 2)));
    assert_eq!(rig.send(recycle(w(0, 1))), []);
}

#[test]
fn one_slot_is_recycled_at_a_time_in_the_order_of_asking() {
    let mut rig = seasoned(3);
    rig.send(recycle(w(1, 1)));
    rig.after(1);
    assert_eq!(rig.send(recycle(w(2, 1))), []);
    rig.after(1);
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    let actions = rig.send(Event::Ready(w(1, 2)));
    assert_eq!(actions[2..], [started(w(2, 1)), Action::Spawn(w(2, 2))]);
    let actions = rig.send(Event::Ready(w(2, 2)));
    assert_eq!(actions[2..], [started(w(0, 1)), Action::Spawn(w(0, 2))]);
}

#[test]
fn a_worker_serves_a_while_before_it_is_recycled() {
    let config = PoolConfig { recycle_interval: Duration::from_secs(3), ..config() };
    let mut rig = Rig::with(config);
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    assert_eq!(rig.deadline_in(), Some(3));
    assert_eq!(rig.after(3), [started(w(0, 1)), Action::Spawn(w(0, 2))]);
}

#[test]
fn a_successor_that_fails_leaves_the_old_worker_in_service_and_is_tried_again() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    for (generation, doubled) in [(2, 1), (3, 1), (4, 2)] {
        rig.send(Event::InitFailed(w(0, generation), "no memory".to_owned()));
        let actions = rig.send(exited(w(0, generation)));
        let Action::RecycleFailed { worker, error, delay } = &actions[1] else { panic!("{actions:?}") };
        assert_eq!((*worker, error.as_str(), delay.as_secs()), (w(0, 1), "no memory", doubled));
        assert_eq!(states(&rig), [(w(0, 1), crate::WorkerState::Serving)]);
        assert_eq!(rig.after(doubled + 1), [started(w(0, 1)), Action::Spawn(w(0, generation + 1))]);
    }
    assert_eq!(rig.send(Event::Ready(w(0, 5))), [Action::Serve(w(0, 5)), Action::Drain(w(0, 1))]);
}

#[test]
fn a_slot_whose_successors_fail_does_not_keep_others_from_being_recycled() {
    let mut rig = seasoned(2);
    rig.send(recycle(w(0, 1)));
    rig.send(recycle(w(1, 1)));
    let actions = rig.send(exited(w(0, 2)));
    assert_eq!(actions[2..], [started(w(1, 1)), Action::Spawn(w(1, 2))]);
}

#[test]
fn a_worker_that_crashes_while_its_successor_starts_is_followed_by_it() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    assert_eq!(rig.send(Event::Exited(w(0, 1), crashed())).len(), 1);
    assert_eq!(rig.send(Event::Ready(w(0, 2))), [Action::Serve(w(0, 2))]);
}

#[test]
fn a_condemned_worker_is_followed_by_the_successor_that_is_starting() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    rig.send(Event::Condemn(w(0, 1), "hangs".to_owned()));
    assert_eq!(rig.send(Event::Ready(w(0, 2))), [Action::Serve(w(0, 2))]);
    assert_eq!(rig.after(10), [abort(w(0, 1))]);
    assert_eq!(rig.send(Event::Exited(w(0, 1), crashed())).len(), 1);
}

#[test]
fn a_reload_replaces_a_worker_that_is_being_recycled_by_one_of_its_own() {
    let mut rig = seasoned(1);
    rig.send(recycle(w(0, 1)));
    let reload = [Action::ReloadStarted, term(w(0, 2)), Action::Spawn(w(0, 3))];
    assert_eq!(rig.send(Event::Reload), reload);
    assert_eq!(
        rig.send(Event::Ready(w(0, 3))),
        [Action::Serve(w(0, 3)), Action::Drain(w(0, 1)), Action::ReloadDone]
    );
    rig.send(exited(w(0, 2)));
    assert_eq!(rig.after(20), [], "the wish is fulfilled");
}

#[test]
fn a_failed_reload_leaves_a_worker_that_still_is_to_be_recycled() {
    let mut rig = seasoned(1);
    rig.send(Event::Reload);
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    let actions = rig.send(exited(w(0, 2)));
    assert!(matches!(actions[1], Action::ReloadFailed(_)), "{actions:?}");
    assert_eq!(actions[2..], [started(w(0, 1)), Action::Spawn(w(0, 3))]);
}

#[test]
fn nobody_is_recycled_while_the_pool_boots() {
    let mut rig = Rig::new(2);
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    rig.after(2);
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    let actions = rig.send(Event::Ready(w(1, 1)));
    let expected = [Action::Serve(w(1, 1)), Action::Booted, started(w(0, 1)), Action::Spawn(w(0, 2))];
    assert_eq!(actions, expected);
}

#[test]
fn removing_a_slot_ends_its_successor_too() {
    let mut rig = seasoned(2);
    rig.send(recycle(w(1, 1)));
    let actions = rig.send(Event::Resize(1));
    assert_eq!(actions[1..], [Action::Drain(w(1, 1)), term(w(1, 2))]);
}

#[test]
fn who_does_not_serve_is_not_recycled() {
    let mut rig = Rig::new(1);
    rig.perform();
    assert_eq!(rig.send(recycle(w(0, 1))), []);
    assert_eq!(rig.deadline_in(), Some(60));
}
