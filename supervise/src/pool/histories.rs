//! Long random histories keep the machine's invariants.
//!
//! A simulated system performs the actions, possibly late; its processes obey or ignore signals as chance has it, and
//! only SIGKILL always works. Every step is followed by all checks.

mod world;

use std::time::Duration;

use proptest::prelude::*;

use crate::{Event, PoolConfig, RestartPolicy, StopMode, WorkerState};
use world::World;

/// One thing that happens. Numbers pick from whatever there is then.
#[derive(Debug, Clone)]
enum Step {
    /// The driver gets round to this many actions.
    Perform(usize),
    Wait(Duration),
    Ready(usize),
    InitFailed(usize),
    Exit(usize),
    Condemn(usize),
    Drained(usize),
    HeartbeatStale(usize),
    Recycle(usize),
    Resize(u32),
    Essential(u32),
    Reload,
    Stop(StopMode),
    /// News that is old, repeated or invented, about any worker that ever was.
    Stale(usize, usize),
    /// From now on forks fail, or not.
    ForksFail(bool),
    /// From now on a fork is reported only when the driver gets round to it again, or at once.
    ForksLag(bool),
    /// From now on new processes ignore polite signals, or not.
    Stubborn(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..32;
    prop_oneof![
        12 => (1_usize..6).prop_map(Step::Perform),
        8 => (0_u64..40_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        12 => which().prop_map(Step::Ready),
        1 => which().prop_map(Step::InitFailed),
        4 => which().prop_map(Step::Exit),
        3 => which().prop_map(Step::Condemn),
        4 => which().prop_map(Step::Drained),
        2 => which().prop_map(Step::HeartbeatStale),
        4 => which().prop_map(Step::Recycle),
        2 => (0_u32..9).prop_map(Step::Resize),
        1 => (0_u32..9).prop_map(Step::Essential),
        2 => Just(Step::Reload),
        4 => (which(), 0_usize..9).prop_map(|(worker, kind)| Step::Stale(worker, kind)),
        1 => any::<bool>().prop_map(Step::ForksFail),
        1 => any::<bool>().prop_map(Step::ForksLag),
        1 => any::<bool>().prop_map(Step::Stubborn),
    ]
}

/// What replaces workers that are well, and what may go wrong with their successors.
fn renewal() -> impl Strategy<Value = Step> {
    let which = || 0_usize..32;
    prop_oneof![
        6 => (1_usize..6).prop_map(Step::Perform),
        4 => (0_u64..40_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        6 => which().prop_map(Step::Ready),
        2 => which().prop_map(Step::InitFailed),
        3 => which().prop_map(Step::Drained),
        6 => which().prop_map(Step::Recycle),
        2 => Just(Step::Reload),
        1 => any::<bool>().prop_map(Step::ForksFail),
        1 => any::<bool>().prop_map(Step::ForksLag),
    ]
}

/// Most begin with a boot that succeeds, or there would be little to see; some are stopped, in one way or in both.
fn history() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![Just(StopMode::Graceful), Just(StopMode::Now)];
    let step = prop_oneof![1000 => step(), 1 => mode.prop_map(Step::Stop)];
    let boot = [Step::Perform(16)].into_iter().chain((0..16).map(Step::Ready)).collect::<Vec<_>>();
    let start = prop_oneof![4 => Just(boot), 1 => Just(Vec::new())];
    let steps = prop::collection::vec(step, 1..300);
    (start, steps).prop_map(|(start, steps)| [start, steps].concat())
}

fn config() -> impl Strategy<Value = PoolConfig> {
    let size = 0_u32..5;
    let boot_timeout = prop::option::of(Just(Duration::from_secs(20)));
    let intensity = prop::option::weighted(0.2, 0_u32..4);
    (size, 0_u32..3, boot_timeout, intensity).prop_map(|(size, minimum, boot_timeout, intensity)| {
        PoolConfig {
            size,
            minimum,
            maximum: 6,
            boot_timeout,
            restarts: RestartPolicy { intensity, ..RestartPolicy::default() },
            ..PoolConfig::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_stop_ends_with_nobody_left(
        (config, history, adopted) in (config(), history(), 0_u32..3),
        graceful: bool,
    ) {
        let mut world = World::new(config, adopted);
        for step in history {
            world.take(step);
        }
        world.stop(if graceful { StopMode::Graceful } else { StopMode::Now });
        world.let_time_pass();
        prop_assert!(world.pool.is_stopped());
        prop_assert!(world.living.is_empty());
        prop_assert_eq!(world.stopped_count, 1);
        prop_assert_eq!(&world.spawned, &world.gone);
    }

    #[test]
    fn the_pool_returns_to_its_size_when_all_is_well(
        (config, history, adopted) in (config(), history(), 0_u32..3),
    ) {
        let mut world = World::new(config, adopted);
        for step in history {
            world.take(step);
        }
        world.heal();
        if world.stop_seen || world.give_up_count > 0 {
            prop_assert!(world.pool.is_stopped());
            return Ok(());
        }
        let expected: Vec<_> = world.pool.slots().map(|slot| (slot, WorkerState::Serving)).collect();
        let workers: Vec<_> = world.pool.workers().map(|(worker, state)| (worker.slot, state)).collect();
        prop_assert_eq!(workers, expected);
        prop_assert_eq!(world.serving.len(), world.pool.slots().len());
        prop_assert_eq!(world.living.len(), world.pool.slots().len());
        prop_assert_eq!(world.booted_count, 1);
        prop_assert_eq!(world.reloads_open, 0);
        prop_assert_eq!(world.pool.next_deadline(), None);
    }

    #[test]
    fn reloads_and_recycles_leave_no_slot_without_service(
        config in config(),
        steps in prop::collection::vec(renewal(), 1..200),
    ) {
        let config = PoolConfig { restarts: RestartPolicy::default(), ..config };
        let mut world = World::new(config, 0);
        world.perform(usize::MAX);
        (0..16).for_each(|nth| world.take(Step::Ready(nth)));
        for step in steps {
            world.take(step);
            let workers = world.pool.workers().filter(|(_, state)| *state == WorkerState::Serving);
            let served: Vec<_> = workers.map(|(worker, _)| worker.slot).collect();
            prop_assert_eq!(served, world.pool.slots().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_pool_is_as_large_as_it_was_last_told((config, history) in (config(), history()), wanted in 0_u32..9) {
        let mut world = World::new(config.clone(), 0);
        for step in history {
            world.take(step);
        }
        world.pool.set_essential([]);
        world.tell(Event::Resize(wanted));
        world.heal();
        if !world.stop_seen && world.give_up_count == 0 {
            let expected = wanted.min(config.maximum).max(config.minimum);
            prop_assert_eq!(world.serving.len(), expected as usize);
        }
    }
}
