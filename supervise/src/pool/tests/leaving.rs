//! Condemned workers, stale heartbeats, stopping.

use super::*;
use crate::StopMode;

#[test]
fn a_condemned_worker_drains_then_aborts_then_dies_and_only_then_is_replaced() {
    let mut rig = Rig::booted(2);
    assert_eq!(rig.send(Event::Condemn(w(1, 1), "lane 3 hangs".to_owned())), [Action::Drain(w(1, 1))]);
    assert_eq!(rig.deadline_in(), Some(10));
    assert_eq!(rig.after(10), [abort(w(1, 1))]);
    assert_eq!(rig.after(2), [kill(w(1, 1))]);
    assert_eq!(rig.deadline_in(), None);
    let actions = rig.send(Event::Exited(w(1, 1), crashed()));
    let departure = Departure::Condemned("lane 3 hangs".to_owned());
    assert_eq!(
        actions,
        [Action::Gone { worker: w(1, 1), departure, status: Some(crashed()) }, Action::Spawn(w(1, 2))]
    );
}

#[test]
fn a_condemned_worker_whose_other_calls_are_done_aborts_at_once() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Condemn(w(0, 1), String::new()));
    assert_eq!(rig.send(Event::Drained(w(0, 1))), [abort(w(0, 1))]);
}

#[test]
fn condemning_twice_does_not_move_the_deadline() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Condemn(w(0, 1), "first".to_owned()));
    rig.after(4);
    assert_eq!(rig.send(Event::Condemn(w(0, 1), "second".to_owned())), []);
    assert_eq!(rig.deadline_in(), Some(6));
}

#[test]
fn a_stale_heartbeat_aborts_at_once() {
    let mut rig = Rig::booted(1);
    assert_eq!(rig.send(Event::HeartbeatStale(w(0, 1))), [Action::Drain(w(0, 1)), abort(w(0, 1))]);
    assert_eq!(rig.send(Event::HeartbeatStale(w(0, 1))), []);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
    let actions = rig.send(exited(w(0, 1)));
    assert_eq!(actions[0], gone(w(0, 1), Departure::Condemned("no heartbeat".to_owned())));
    assert_eq!(actions[1], Action::Spawn(w(0, 2)));
}

#[test]
fn a_worker_that_loads_for_long_is_not_taken_for_dead() {
    let mut rig = Rig::new(1);
    rig.perform();
    assert_eq!(rig.send(Event::HeartbeatStale(w(0, 1))), []);
    assert_eq!(rig.send(Event::Condemn(w(0, 1), String::new())), []);
}

#[test]
fn who_may_stop_for_as_long_as_its_heart_beats_is_ended_by_silence_alone() {
    let mut rig = Rig::with(PoolConfig { graceful_timeout: None, ..config() });
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), [term(w(0, 1))]);
    assert_eq!(rig.deadline_in(), None);
    assert_eq!(rig.after(1_000_000), []);
    assert_eq!(rig.send(Event::HeartbeatStale(w(0, 1))), [abort(w(0, 1))]);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
}

#[test]
fn a_graceful_stop_terminates_all_and_kills_at_the_deadline() {
    let mut rig = Rig::booted(2);
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), [term(w(1, 1)), term(w(0, 1))]);
    assert_eq!(rig.send(exited(w(1, 1))), [gone(w(1, 1), Departure::Stopped)]);
    assert_eq!(rig.deadline_in(), Some(30));
    assert_eq!(rig.after(30), [kill(w(0, 1))]);
    let killed = rig.send(exited(w(0, 1)));
    assert_eq!(killed, [gone(w(0, 1), Departure::Stopped), Action::PoolStopped]);
}

#[test]
fn stopping_at_once_interrupts_and_kills_soon() {
    let mut rig = Rig::booted(1);
    assert_eq!(rig.send(Event::Stop(StopMode::Now)), [Action::Signal(w(0, 1), Signal::SIGINT)]);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
}

#[test]
fn stopping_at_once_overrides_a_graceful_stop_but_not_the_other_way_round() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Stop(StopMode::Graceful));
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), []);
    assert_eq!(rig.send(Event::Stop(StopMode::Now)), [Action::Signal(w(0, 1), Signal::SIGINT)]);
    assert_eq!(rig.send(Event::Stop(StopMode::Now)), []);
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), []);
    assert_eq!(rig.deadline_in(), Some(2));
}

#[test]
fn nothing_is_started_after_a_stop() {
    let mut rig = Rig::booted(2);
    rig.send(Event::Exited(w(0, 1), crashed()));
    rig.send(Event::Ready(w(0, 2)));
    rig.send(Event::Exited(w(0, 2), crashed()));
    // Slot 0 backs off now.
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), [term(w(1, 1))]);
    assert_eq!(rig.after(9), []);
    assert_eq!(rig.send(Event::Resize(5)), []);
    assert_eq!(rig.send(Event::Reload), []);
    let end = rig.send(Event::Exited(w(1, 1), crashed()));
    assert_eq!(end.last(), Some(&Action::PoolStopped));
    assert_eq!(end.len(), 2);
}

#[test]
fn a_spawn_that_the_driver_has_not_seen_is_taken_back_by_a_stop() {
    let mut rig = Rig::new(3);
    rig.pool.handle(Event::Stop(StopMode::Now), rig.now);
    assert_eq!(rig.perform(), [Action::PoolStopped]);
}

#[test]
fn a_worker_that_was_being_forked_during_the_stop_is_ended() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.pool.poll_action(), Some(Action::Spawn(w(0, 1))));
    rig.pool.handle(Event::Stop(StopMode::Graceful), rig.now);
    assert_eq!(rig.perform(), []);
    assert_eq!(rig.send(Event::Spawned(w(0, 1))), [term(w(0, 1))]);
    assert_eq!(rig.after(2), [kill(w(0, 1))]);
}

#[test]
fn stopping_a_stopped_pool_is_nothing() {
    let mut rig = Rig::booted(1);
    rig.send(Event::Stop(StopMode::Now));
    rig.send(exited(w(0, 1)));
    assert_eq!(rig.send(Event::Stop(StopMode::Now)), []);
    assert_eq!(rig.send(Event::Tick), []);
}

#[test]
fn a_condemned_worker_gets_no_more_time_than_a_graceful_stop_allows() {
    let mut rig = Rig::with(PoolConfig { condemn_timeout: Duration::from_secs(100), ..config() });
    rig.perform();
    rig.send(Event::Ready(w(0, 1)));
    rig.send(Event::Condemn(w(0, 1), String::new()));
    assert_eq!(rig.send(Event::Stop(StopMode::Graceful)), []);
    assert_eq!(rig.after(30), [abort(w(0, 1))]);
}
