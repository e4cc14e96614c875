//! More and fewer slots.

use super::*;

fn resized(from: u32, to: u32, wanted: u32) -> Action {
    Action::Resized { from, to, wanted }
}

#[test]
fn growing_spawns_in_new_slots() {
    let mut rig = Rig::booted(1);
    assert_eq!(
        rig.send(Event::Resize(3)),
        [resized(1, 3, 3), Action::Spawn(w(1, 1)), Action::Spawn(w(2, 1))]
    );
}

#[test]
fn a_new_slot_that_fails_to_start_backs_off() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Resize(2));
    let actions = rig.send(exited(w(1, 1)));
    assert!(matches!(actions[1], Action::BackingOff { slot: 1, .. }), "{actions:?}");
}

#[test]
fn shrinking_drains_the_highest_slots() {
    let mut rig = Rig::booted(3);
    assert_eq!(
        rig.send(Event::Resize(1)),
        [resized(3, 1, 1), Action::Drain(w(2, 1)), Action::Drain(w(1, 1))]
    );
    assert_eq!(rig.send(Event::Drained(w(2, 1))), [term(w(2, 1))]);
    assert_eq!(rig.send(exited(w(2, 1))), [gone(w(2, 1), Departure::Retired)]);
}

#[test]
fn the_minimum_stands() {
    let mut rig = Rig::booted(2);
    assert_eq!(rig.send(Event::Resize(0)), [resized(2, 1, 0), Action::Drain(w(1, 1))]);
    assert_eq!(rig.send(Event::Resize(0)), [resized(1, 1, 0)]);
}

#[test]
fn the_maximum_stands() {
    let mut rig = Rig::booted(1);
    assert_eq!(rig.send(Event::Resize(u32::MAX)).first(), Some(&resized(1, 8, u32::MAX)));
}

#[test]
fn an_essential_slot_stays_and_a_lower_one_goes() {
    let mut rig = Rig::booted(3);
    rig.pool.set_essential([2]);
    assert_eq!(rig.send(Event::Resize(2)), [resized(3, 2, 2), Action::Drain(w(1, 1))]);
    assert_eq!(rig.pool.slots().collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn essential_slots_can_keep_the_pool_larger_than_wanted() {
    let mut rig = Rig::booted(3);
    rig.pool.set_essential([0, 2]);
    assert_eq!(rig.send(Event::Resize(1)), [resized(3, 2, 1), Action::Drain(w(1, 1))]);
}

#[test]
fn a_slot_that_comes_back_counts_its_generations_on() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Resize(1));
    assert_eq!(rig.send(Event::Resize(2))[1], Action::Spawn(w(1, 2)));
    // The first one still drains, and its end harms nobody.
    assert_eq!(rig.send(exited(w(1, 1))), [gone(w(1, 1), Departure::Retired)]);
    assert_eq!(rig.send(Event::Ready(w(1, 2))), [Action::Serve(w(1, 2))]);
}

#[test]
fn a_worker_that_still_starts_is_not_waited_for() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Resize(2));
    assert_eq!(rig.send(Event::Resize(1)), [resized(2, 1, 1), term(w(1, 1))]);
    assert_eq!(rig.after(2), [kill(w(1, 1))]);
}

#[test]
fn a_slot_that_backs_off_goes_without_a_word() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Exited(w(1, 1), crashed()));
    rig.send(exited(w(1, 2)));
    assert_eq!(rig.send(Event::Resize(1)), [resized(2, 1, 1)]);
    assert_eq!(rig.deadline_in(), None);
}

#[test]
fn a_slot_in_which_nobody_serves_goes_before_one_that_does() {
    let mut rig = Rig::booted(3);
    rig.send(Event::Exited(w(1, 1), crashed()));
    assert_eq!(rig.send(Event::Resize(2)), [resized(3, 2, 2), term(w(1, 2))]);
    assert_eq!(rig.pool.slots().collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn removing_the_slot_that_a_boot_waits_for_ends_the_boot() {
    let mut rig = Rig::new(2);
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    assert_eq!(rig.send(Event::Resize(1)), [resized(2, 1, 1), term(w(1, 1)), Action::Booted]);
}

#[test]
fn removing_the_slot_that_a_reload_waits_for_ends_the_reload() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Reload);
    rig.send(Event::Ready(w(0, 2)));
    assert_eq!(
        rig.send(Event::Resize(1)),
        [
            resized(2, 1, 1),
            Action::Drain(w(1, 1)),
            term(w(1, 2)),
            Action::Serve(w(0, 2)),
            Action::Drain(w(0, 1)),
            Action::ReloadDone,
        ]
    );
}

#[test]
fn a_pool_without_slots_boots_and_stops() {
    let mut rig = Rig::with(PoolConfig { size: 0, minimum: 0, ..config() });
    assert_eq!(rig.perform(), [Action::Booted]);
    assert_eq!(rig.send(Event::Reload), [Action::ReloadStarted, Action::ReloadDone]);
    assert_eq!(rig.send(Event::Stop(crate::StopMode::Graceful)), [Action::PoolStopped]);
}

#[test]
fn a_worker_that_does_not_finish_in_time_is_killed_and_said_to_have_been() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Resize(1));
    rig.after(30);
    assert_eq!(rig.after(2), [kill(w(1, 1))]);
    assert_eq!(
        rig.send(Event::Exited(w(1, 1), crashed())),
        [Action::Gone { worker: w(1, 1), departure: Departure::Overdue, status: Some(crashed()) }]
    );
}
