//! Long random histories keep the machine's invariants.
//!
//! A simulated system performs the actions, possibly late; its processes obey or ignore signals as chance has it, and only
//! SIGKILL always works. Every step is followed by all checks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use proptest::prelude::*;

use super::tests::spec;
use super::{
    Companion, CompanionAction, CompanionCommand, CompanionEnd, CompanionEvent, CompanionSpec,
    CompanionState, Companions, LaunchId, Rest,
};
use crate::{ExitStatus, RestartPolicy, StopMode};

/// One thing that happens. Numbers pick from whatever there is then.
#[derive(Debug, Clone)]
enum Step {
    /// The driver gets round to this many actions.
    Perform(usize),
    Wait(Duration),
    /// The clock is looked at a little after the next deadline.
    Next,
    Exit(usize, i32),
    Outgrown(usize),
    Command(CompanionCommand, usize),
    Reread(Vec<Variant>),
    /// News that is old, repeated or invented.
    Stale(u64),
    /// From now on forks fail, or not.
    ForksFail(bool),
    /// From now on new processes ignore polite signals, or not.
    Stubborn(bool),
    Stop(StopMode),
}

/// How one of the names is configured, if it is.
#[derive(Debug, Clone, Copy)]
struct Variant {
    is_there: bool,
    number: u64,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// That of a stray, of [`spec`].
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

fn specs(variants: &[Variant]) -> Vec<CompanionSpec> {
    let there = NAMES.iter().zip(variants).filter(|(_, variant)| variant.is_there);
    there.map(|(name, variant)| configured(name, variant.number)).collect()
}

/// Each of the numbers is another configuration. `b` and `c` depend on those before them.
fn configured(name: &str, number: u64) -> CompanionSpec {
    let seconds = |count: u64| Duration::from_secs(count);
    let of = |choices: [u64; 4]| seconds(choices[usize::try_from(number % 4).unwrap()]);
    CompanionSpec {
        fingerprint: number,
        stop_timeout: of([0, 3, 30, 10]),
        reload_timeout: of([1, 0, 5, 30]),
        startsecs: of([1, 0, 5, 1]),
        autostart: number % 5 != 4,
        restarts: RestartPolicy {
            base_delay: seconds(number % 3),
            max_delay: seconds(if number.is_multiple_of(2) { number % 3 } else { 20 }),
            intensity: (number % 4 == 3).then_some(2),
            ..spec(name).restarts
        },
        depends_on: match name {
            "b" => vec!["a".into()],
            "c" => vec!["a".into(), "b".into()],
            _ => vec![],
        },
        ..spec(name)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..16;
    let command = prop_oneof![
        Just(CompanionCommand::Start),
        Just(CompanionCommand::Stop),
        Just(CompanionCommand::Restart)
    ];
    prop_oneof![
        16 => (1_usize..6).prop_map(Step::Perform),
        8 => (0_u64..8_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        8 => Just(Step::Next),
        6 => (which(), 0..5).prop_map(|(which, code)| Step::Exit(which, code)),
        1 => which().prop_map(Step::Outgrown),
        8 => (command, which()).prop_map(|(command, which)| Step::Command(command, which)),
        3 => variants().prop_map(Step::Reread),
        1 => (0_u64..40).prop_map(Step::Stale),
        1 => any::<bool>().prop_map(Step::ForksFail),
        1 => any::<bool>().prop_map(Step::Stubborn),
    ]
}

fn variants() -> impl Strategy<Value = Vec<Variant>> {
    let variant =
        (prop::bool::weighted(0.8), 0_u64..8).prop_map(|(is_there, number)| Variant { is_there, number });
    prop::collection::vec(variant, NAMES.len())
}

struct Process {
    name: String,
    is_stubborn: bool,
}

struct World {
    machine: Companions,
    now: Instant,
    /// Actions that the driver has not got round to.
    todo: VecDeque<CompanionAction>,
    processes: BTreeMap<LaunchId, Process>,
    /// Names that only a command may start.
    by_hand: BTreeSet<String>,
    is_stopping: bool,
    forks_fail: bool,
    stubborn: bool,
}

impl World {
    /// `left` are the names that another manager has left processes of, and that were stopped by hand under it.
    fn new(variants: &[Variant], left: &[(bool, bool)]) -> Self {
        let now = Instant::now();
        let mut machine = Companions::new(specs(variants));
        let (mut processes, mut by_hand) = (BTreeMap::new(), BTreeSet::new());
        for (name, (has_process, is_stopped)) in NAMES.iter().zip(left) {
            if *is_stopped && machine.find(name).is_some() {
                machine.keep_stopped(name);
                by_hand.insert((*name).to_owned());
            }
            if *has_process {
                let launch = machine.adopt(name, || spec(name), now).unwrap();
                processes.insert(launch, Process { name: (*name).to_owned(), is_stubborn: true });
                assert!(machine.adopt(name, || spec(name), now).is_none());
            }
        }
        machine.begin(now);
        let mut world = Self {
            machine,
            now,
            todo: VecDeque::new(),
            processes,
            by_hand,
            is_stopping: false,
            forks_fail: false,
            stubborn: false,
        };
        world.take_actions();
        world
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Perform(count) => (0..*count).for_each(|_| self.perform()),
            Step::Wait(time) => self.wait(*time),
            Step::Next => {
                let time = self.machine.next_deadline().map(|at| at.saturating_duration_since(self.now));
                self.wait(time.unwrap_or(Duration::from_secs(1)));
            }
            Step::Exit(which, code) => {
                if let Some(launch) = self.pick(*which) {
                    self.exit(launch, ExitStatus::Code(*code));
                }
            }
            Step::Outgrown(which) => {
                if let Some(launch) = self.pick(*which) {
                    self.handle(CompanionEvent::Outgrown(launch, "too much".into()));
                }
            }
            Step::Command(command, which) => self.command(*command, NAMES[which % NAMES.len()]),
            Step::Reread(variants) => self.reread(&specs(variants)),
            Step::Stale(number) => {
                let launch = LaunchId(*number);
                if self.machine.iter().all(|companion| companion.launch() != Some(launch)) {
                    let before = format!("{:?}", self.machine);
                    let end = CompanionEnd::Exit(ExitStatus::Code(0));
                    self.machine.handle(CompanionEvent::Ended(launch, end), self.now);
                    self.machine.handle(CompanionEvent::Outgrown(launch, "too much".into()), self.now);
                    assert_eq!(before, format!("{:?}", self.machine));
                }
            }
            Step::ForksFail(fail) => self.forks_fail = *fail,
            Step::Stubborn(stubborn) => self.stubborn = *stubborn,
            Step::Stop(mode) => {
                self.is_stopping = true;
                self.handle(CompanionEvent::Stop { mode: *mode, limit: None });
            }
        }
        self.check();
    }

    fn pick(&self, which: usize) -> Option<LaunchId> {
        self.processes.keys().nth(which % self.processes.len().max(1)).copied()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.handle(CompanionEvent::Tick);
        assert!(self.machine.next_deadline().is_none_or(|at| at > self.now || self.has_instant_start()));
    }

    /// Of those that are started by a tick, one with `startsecs = 0` is due at once.
    fn has_instant_start(&self) -> bool {
        self.machine.iter().any(|companion| {
            companion.spec().startsecs.is_zero() && companion.state() == CompanionState::Starting
        })
    }

    fn handle(&mut self, event: CompanionEvent) {
        let waiting: Vec<String> = self
            .machine
            .iter()
            .filter(|companion| companion.rest() == Some(Rest::Waiting))
            .map(|companion| companion.name().to_owned())
            .collect();
        self.machine.handle(event, self.now);
        for name in waiting {
            let companion = self.machine.find(&name).unwrap();
            let awaited = self.machine.awaited_by(companion);
            let is_started = companion.state() == CompanionState::Starting;
            assert!(!is_started || awaited.is_empty(), "{name} is started before {awaited:?}");
        }
        self.take_actions();
    }

    fn command(&mut self, command: CompanionCommand, name: &str) {
        let before = self.machine.find(name).map(Companion::state);
        let outcome = self.machine.command(command, name, self.now);
        let Some(state) = before else {
            assert!(outcome.is_err(), "{outcome:?}");
            return;
        };
        match command {
            CompanionCommand::Stop => {
                assert!(outcome.is_ok());
                let companion = self.machine.find(name).unwrap();
                // Who is about to be removed stays so.
                assert_ne!(companion.is_stopped_by_hand(), companion.is_leaving());
                if companion.is_stopped_by_hand() {
                    self.by_hand.insert(name.into());
                }
                assert!(!matches!(
                    companion.state(),
                    CompanionState::Starting | CompanionState::Running | CompanionState::Backoff
                ));
            }
            CompanionCommand::Start | CompanionCommand::Restart => {
                assert_eq!(outcome.is_err(), self.is_stopping || state == CompanionState::Stopping);
                if outcome.is_ok() {
                    self.by_hand.remove(name);
                }
            }
        }
        self.take_actions();
    }

    fn reread(&mut self, specs: &[CompanionSpec]) {
        let leaving = |world: &Self, name: &str| {
            world.machine.find(name).is_some_and(|companion| companion.is_leaving())
        };
        let old: BTreeSet<String> =
            self.machine.iter().map(|companion| companion.name().to_owned()).collect();
        let old: BTreeSet<String> = old.into_iter().filter(|name| !leaving(self, name)).collect();
        let new: BTreeSet<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let outcome = self.machine.reread(specs.to_vec(), self.now);
        let listed =
            |lists: [&Vec<String>; 2]| -> BTreeSet<String> { lists.into_iter().flatten().cloned().collect() };
        assert_eq!(listed([&outcome.added, &vec![]]), &new - &old);
        assert_eq!(listed([&outcome.removed, &vec![]]), &old - &new);
        assert_eq!(listed([&outcome.restarted, &outcome.unchanged]), &new & &old);
        // Nobody who was stopped by hand is restarted; who was removed is somebody else when it comes again.
        assert!(outcome.restarted.iter().all(|name| !self.by_hand.contains(name)), "{outcome:?}");
        self.by_hand.retain(|name| !outcome.removed.contains(name));
        self.take_actions();
    }

    /// Looks at what the machine wants before anybody gets round to it.
    fn take_actions(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            if let CompanionAction::Spawn { name, .. } = &action {
                assert!(!self.by_hand.contains(name), "{name} was stopped by hand");
                assert!(!self.is_stopping, "{name} is started although all are to stop");
            }
            self.todo.push_back(action);
        }
    }

    fn perform(&mut self) {
        match self.todo.pop_front() {
            Some(CompanionAction::Spawn { launch, .. }) if self.forks_fail => {
                self.handle(CompanionEvent::Ended(launch, CompanionEnd::NotForked("no memory".into())));
            }
            Some(CompanionAction::Spawn { name, launch }) => {
                assert!(
                    self.processes.values().all(|process| process.name != name),
                    "two live processes of {name}"
                );
                self.processes.insert(launch, Process { name, is_stubborn: self.stubborn });
            }
            Some(CompanionAction::Signal { launch, signal, .. }) => {
                let Some(process) = self.processes.get(&launch) else { return };
                if signal == Signal::SIGKILL || !process.is_stubborn {
                    self.exit(launch, ExitStatus::Signal { signal: signal as i32, core: false });
                }
            }
            Some(
                CompanionAction::Running { .. }
                | CompanionAction::Ended { .. }
                | CompanionAction::Outgrown { .. },
            )
            | None => {}
        }
    }

    fn exit(&mut self, launch: LaunchId, status: ExitStatus) {
        self.processes.remove(&launch);
        self.handle(CompanionEvent::Ended(launch, CompanionEnd::Exit(status)));
    }

    fn check(&self) {
        let names: BTreeSet<&str> = self.machine.iter().map(|companion| companion.name()).collect();
        assert_eq!(names.len(), self.machine.iter().count(), "a name is there twice");
        for (launch, process) in &self.processes {
            let owner = self.machine.find(&process.name).unwrap();
            assert_eq!(owner.launch(), Some(*launch), "a process of {} is forgotten", process.name);
        }
        for companion in self.machine.iter() {
            let (name, state) = (companion.name(), companion.state());
            let has_process = companion.launch().is_some();
            let expects_one = matches!(
                state,
                CompanionState::Starting | CompanionState::Running | CompanionState::Stopping
            );
            assert_eq!(has_process, expects_one, "{name} is {state}");
            if self.by_hand.contains(name) {
                assert!(companion.is_stopped_by_hand() || self.is_stopping, "{name} is {state}");
            }
            if self.is_stopping {
                assert!(matches!(state, CompanionState::Stopped | CompanionState::Stopping));
            }
            match state {
                CompanionState::Stopping => {
                    let killed = companion.kill_at().is_none();
                    assert!(killed || companion.kill_at() <= Some(self.now + LONGEST_TIMEOUT), "{name}");
                }
                CompanionState::Backoff => {
                    assert_ne!(companion.next_retry().is_some(), companion.has_given_up(), "{name}");
                }
                CompanionState::Running | CompanionState::Starting | CompanionState::Stopped => {}
            }
        }
    }

    /// The driver does all it has to, and time passes, until nothing is stopping any more.
    fn settle(&mut self) {
        for _ in 0..200 {
            while !self.todo.is_empty() {
                self.perform();
            }
            self.check();
            let is_stopping = |state| state == CompanionState::Stopping;
            if !self.machine.iter().any(|companion| is_stopping(companion.state())) {
                return;
            }
            self.wait(LONGEST_TIMEOUT / 10);
        }
        panic!("a STOPPING does not end: {:?}", self.machine);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn histories_keep_the_invariants(
        first in variants(),
        left in prop::collection::vec((any::<bool>(), any::<bool>()), NAMES.len()),
        steps in prop::collection::vec(step(), 1..400),
        last in prop_oneof![Just(StopMode::Graceful), Just(StopMode::Now)],
    ) {
        let mut world = World::new(&first, &left);
        for step in &steps {
            world.run(step);
        }
        world.settle();
        world.stubborn = true;
        world.run(&Step::Stop(last));
        for step in steps.iter().take(20) {
            world.run(step);
        }
        world.settle();
        prop_assert!(world.machine.is_stopped());
        prop_assert!(world.processes.is_empty());
    }
}
