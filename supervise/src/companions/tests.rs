use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::*;
use crate::{ExitStatus, RestartPolicy};

/// The reference's defaults.
pub(super) fn spec(name: &str) -> CompanionSpec {
    CompanionSpec {
        name: name.into(),
        fingerprint: 0,
        stop_signal: Signal::SIGTERM,
        stop_timeout: seconds(60),
        reload_timeout: seconds(30),
        startsecs: seconds(1),
        restarts: RestartPolicy {
            at_once: 0,
            base_delay: seconds(5),
            max_delay: seconds(5),
            period: seconds(60),
            intensity: None,
        },
        depends_on: vec![],
        autostart: true,
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A machine with a clock, in which one companion has the state that a test begins with.
struct Bench {
    machine: Companions,
    now: Instant,
}

const NAME: &str = "rq";

impl Bench {
    fn new(specs: impl IntoIterator<Item = CompanionSpec>) -> Self {
        let now = Instant::now();
        let mut machine = Companions::new(specs);
        machine.begin(now);
        Self { machine, now }
    }

    fn in_state(state: CompanionState) -> Self {
        let mut bench = Self::new([spec(NAME)]);
        match state {
            CompanionState::Starting => {}
            CompanionState::Running => bench.wait(1),
            CompanionState::Backoff => bench.exit(1),
            CompanionState::Stopping => drop(bench.command(CompanionCommand::Stop)),
            CompanionState::Stopped => {
                bench.command(CompanionCommand::Stop).unwrap();
                bench.exit(0);
            }
        }
        assert_eq!(bench.state(), state);
        bench.actions();
        bench
    }

    fn wait(&mut self, count: u64) {
        self.now += seconds(count);
        self.machine.handle(CompanionEvent::Tick, self.now);
    }

    fn command(&mut self, command: CompanionCommand) -> Result<CommandOutcome, CommandError> {
        self.machine.command(command, NAME, self.now)
    }

    fn exit(&mut self, code: i32) {
        self.exit_of(NAME, code);
    }

    fn exit_of(&mut self, name: &str, code: i32) {
        let launch = self.machine.find(name).unwrap().launch().unwrap();
        let end = CompanionEnd::Exit(ExitStatus::Code(code));
        self.machine.handle(CompanionEvent::Ended(launch, end), self.now);
    }

    fn companion(&self) -> &Companion {
        self.machine.find(NAME).unwrap()
    }

    fn state(&self) -> CompanionState {
        self.companion().state()
    }

    fn state_of(&self, name: &str) -> CompanionState {
        self.machine.find(name).unwrap().state()
    }

    /// What the driver is asked for, in short.
    fn actions(&mut self) -> Vec<String> {
        let short = |action| match action {
            CompanionAction::Spawn { name, .. } => Some(format!("spawn {name}")),
            CompanionAction::Signal { name, signal, timeout, .. } => {
                let timeout = timeout.map_or_else(String::new, |timeout| format!(" {}", timeout.as_secs()));
                Some(format!("{signal} {name}{timeout}"))
            }
            CompanionAction::Running { .. } | CompanionAction::Ended { .. } => None,
            CompanionAction::Outgrown { name, reason } => Some(format!("{name} {reason}")),
        };
        std::iter::from_fn(|| self.machine.poll_action()).filter_map(short).collect()
    }
}

#[test]
fn a_companion_runs_once_it_has_lasted_startsecs() {
    let mut bench = Bench::new([spec(NAME)]);
    assert_eq!(bench.actions(), ["spawn rq"]);
    bench.now += Duration::from_millis(999);
    bench.machine.handle(CompanionEvent::Tick, bench.now);
    assert_eq!(bench.state(), CompanionState::Starting);
    bench.now += Duration::from_millis(1);
    bench.machine.handle(CompanionEvent::Tick, bench.now);
    assert_eq!(bench.state(), CompanionState::Running);
}

#[test]
fn an_end_that_nobody_asked_for_is_followed_by_a_start_after_the_fixed_delay() {
    for state in [CompanionState::Starting, CompanionState::Running] {
        let mut bench = Bench::in_state(state);
        for code in [0, 1, 3, 4] {
            bench.exit(code);
            assert_eq!(bench.state(), CompanionState::Backoff);
            assert_eq!(bench.companion().next_retry(), Some(bench.now + seconds(5)));
            bench.wait(4);
            assert_eq!(bench.actions(), [""; 0]);
            bench.wait(1);
            assert_eq!((bench.actions(), bench.state()), (vec!["spawn rq".into()], CompanionState::Starting));
        }
        assert_eq!((bench.companion().exit_count(), bench.companion().restart_count()), (4, 4));
    }
}

#[test]
fn start_on_every_state() {
    let start = |state| {
        let mut bench = Bench::in_state(state);
        let outcome = bench.command(CompanionCommand::Start).map_err(|error| error.to_string());
        (outcome, bench.actions(), bench.state())
    };
    use CompanionState::{Backoff, Running, Starting, Stopped, Stopping};
    let none = Vec::new;
    let spawned = || vec!["spawn rq".to_owned()];
    assert_eq!(start(Stopped), (Ok(CommandOutcome::Started), spawned(), Starting));
    assert_eq!(start(Backoff), (Ok(CommandOutcome::Started), spawned(), Starting));
    assert_eq!(start(Running), (Ok(CommandOutcome::Already(Running)), none(), Running));
    assert_eq!(start(Starting), (Ok(CommandOutcome::Already(Starting)), none(), Starting));
    let refused = Err("rq is stopping; poll status and retry".to_owned());
    assert_eq!(start(Stopping), (refused, none(), Stopping));
}

#[test]
fn stop_on_every_state() {
    let stop = |state| {
        let mut bench = Bench::in_state(state);
        let outcome = bench.command(CompanionCommand::Stop).unwrap();
        assert!(bench.companion().is_stopped_by_hand());
        (outcome, bench.actions(), bench.state())
    };
    use CompanionState::{Backoff, Running, Starting, Stopped, Stopping};
    let none = Vec::new;
    let asked = || vec!["SIGTERM rq 60".to_owned()];
    assert_eq!(stop(Running), (CommandOutcome::Stopping, asked(), Stopping));
    assert_eq!(stop(Starting), (CommandOutcome::Stopping, asked(), Stopping));
    assert_eq!(stop(Backoff), (CommandOutcome::Stopped, none(), Stopped));
    assert_eq!(stop(Stopped), (CommandOutcome::Already(Stopped), none(), Stopped));
    assert_eq!(stop(Stopping), (CommandOutcome::Already(Stopping), none(), Stopping));
}

#[test]
fn restart_on_every_state() {
    let restart = |state| {
        let mut bench = Bench::in_state(state);
        let outcome = bench.command(CompanionCommand::Restart).map_err(|error| error.to_string());
        (outcome, bench.actions(), bench.state())
    };
    use CompanionState::{Backoff, Running, Starting, Stopped, Stopping};
    let spawned = || vec!["spawn rq".to_owned()];
    let asked = || vec!["SIGTERM rq 30".to_owned()];
    assert_eq!(restart(Running), (Ok(CommandOutcome::Restarting), asked(), Stopping));
    assert_eq!(restart(Starting), (Ok(CommandOutcome::Restarting), asked(), Stopping));
    assert_eq!(restart(Backoff), (Ok(CommandOutcome::Started), spawned(), Starting));
    assert_eq!(restart(Stopped), (Ok(CommandOutcome::Started), spawned(), Starting));
    let refused = Err("rq is stopping; poll status and retry".to_owned());
    assert_eq!(restart(Stopping), (refused, vec![], Stopping));
}

#[test]
fn a_restarted_companion_is_started_when_its_process_has_ended() {
    let mut bench = Bench::in_state(CompanionState::Running);
    bench.command(CompanionCommand::Restart).unwrap();
    bench.actions();
    bench.exit(0);
    assert_eq!((bench.actions(), bench.state()), (vec!["spawn rq".into()], CompanionState::Starting));
    assert_eq!(bench.companion().restart_count(), 1);
}

#[test]
fn a_stop_during_a_restart_is_the_last_word() {
    let mut bench = Bench::in_state(CompanionState::Running);
    bench.command(CompanionCommand::Restart).unwrap();
    bench.command(CompanionCommand::Stop).unwrap();
    bench.exit(0);
    bench.wait(3600);
    assert_eq!(bench.state(), CompanionState::Stopped);
}

#[test]
fn who_does_not_end_in_time_is_killed_and_counted() {
    let mut bench = Bench::in_state(CompanionState::Starting);
    bench.command(CompanionCommand::Stop).unwrap();
    assert_eq!(bench.actions(), ["SIGTERM rq 60"]);
    bench.wait(59);
    assert_eq!(bench.actions(), [""; 0]);
    bench.wait(1);
    assert_eq!(bench.actions(), ["SIGKILL rq"]);
    assert_eq!((bench.state(), bench.companion().kill_count()), (CompanionState::Stopping, 1));
    assert_eq!(bench.machine.next_deadline(), None);
    bench.exit(0);
    assert_eq!(bench.state(), CompanionState::Stopped);
}

#[test]
fn a_process_is_stopped_by_the_configuration_it_was_started_with() {
    let mut bench = Bench::in_state(CompanionState::Running);
    let changed = CompanionSpec { fingerprint: 1, stop_signal: Signal::SIGINT, ..spec(NAME) };
    let outcome = bench.machine.reread([changed], bench.now);
    assert_eq!(outcome.restarted, [NAME]);
    assert_eq!(bench.actions(), ["SIGTERM rq 30"]);
    bench.exit(0);
    bench.command(CompanionCommand::Stop).unwrap();
    assert_eq!(bench.actions(), ["spawn rq", "SIGINT rq 60"]);
}

#[test]
fn a_manual_stop_survives_a_changed_configuration_and_the_next_start_uses_it() {
    let mut bench = Bench::in_state(CompanionState::Stopped);
    let changed = CompanionSpec { fingerprint: 1, stop_timeout: seconds(7), ..spec(NAME) };
    let outcome = bench.machine.reread([changed], bench.now);
    assert_eq!(outcome, RereadOutcome { unchanged: vec![NAME.into()], ..RereadOutcome::default() });
    assert_eq!((bench.actions(), bench.state()), (vec![], CompanionState::Stopped));
    bench.command(CompanionCommand::Start).unwrap();
    bench.command(CompanionCommand::Stop).unwrap();
    assert_eq!(bench.actions(), ["spawn rq", "SIGTERM rq 7"]);
}

#[test]
fn a_reread_adds_removes_restarts_and_leaves_alone() {
    let mut bench = Bench::new([spec("old"), spec("changed"), spec("same")]);
    bench.wait(1);
    bench.actions();
    let changed = CompanionSpec { fingerprint: 1, ..spec("changed") };
    let outcome = bench.machine.reread([changed, spec("same"), spec("new")], bench.now);
    let list = |name: &str| vec![name.to_owned()];
    let expected = RereadOutcome {
        added: list("new"),
        removed: list("old"),
        restarted: list("changed"),
        unchanged: list("same"),
    };
    assert_eq!(outcome, expected);
    assert_eq!(bench.actions(), ["SIGTERM changed 30", "SIGTERM old 60", "spawn new"]);
    bench.exit_of("old", 0);
    assert!(bench.machine.find("old").is_none());
}

#[test]
fn one_that_was_removed_and_comes_again_waits_for_its_old_process() {
    let mut bench = Bench::in_state(CompanionState::Running);
    bench.machine.reread([], bench.now);
    let outcome = bench.machine.reread([spec(NAME)], bench.now);
    assert_eq!(outcome.added, [NAME]);
    assert_eq!(bench.actions(), ["SIGTERM rq 60"]);
    bench.exit(0);
    assert_eq!(bench.actions(), ["spawn rq"]);
}

#[test]
fn with_a_longest_delay_the_delays_grow_and_a_limit_ends_them() {
    let restarts = RestartPolicy { max_delay: seconds(12), intensity: Some(3), ..spec(NAME).restarts };
    let mut bench = Bench::new([CompanionSpec { restarts, ..spec(NAME) }]);
    for delay in [5, 10, 12] {
        bench.exit(1);
        assert_eq!(bench.companion().next_retry(), Some(bench.now + seconds(delay)));
        bench.wait(delay);
    }
    bench.exit(1);
    assert!(bench.companion().has_given_up());
    bench.wait(3600);
    assert_eq!(bench.state(), CompanionState::Backoff);
    // A command begins anew.
    bench.command(CompanionCommand::Start).unwrap();
    bench.exit(1);
    assert_eq!(bench.companion().next_retry(), Some(bench.now + seconds(5)));
}

#[test]
fn dependants_are_started_when_what_they_depend_on_runs() {
    let dependant = CompanionSpec { depends_on: vec!["redis".into()], ..spec(NAME) };
    let mut bench = Bench::new([dependant.clone(), spec("redis")]);
    assert_eq!(bench.actions(), ["spawn redis"]);
    assert_eq!(bench.companion().rest(), Some(Rest::Waiting));
    assert_eq!(bench.command(CompanionCommand::Start), Ok(CommandOutcome::Waiting(vec!["redis".into()])));
    bench.exit_of("redis", 1);
    bench.wait(5);
    assert_eq!(bench.actions(), ["spawn redis"]);
    bench.wait(1);
    assert_eq!(bench.actions(), ["spawn rq"]);
    // It does not end with it.
    bench.exit_of("redis", 1);
    assert_eq!(bench.state(), CompanionState::Starting);
    // What is stopped by hand is not waited for.
    let mut bench = Bench::new([dependant, spec("redis")]);
    bench.machine.command(CompanionCommand::Stop, "redis", bench.now).unwrap();
    assert_eq!(bench.actions(), ["spawn redis", "SIGTERM redis 60", "spawn rq"]);
}

#[test]
fn one_that_outgrows_its_limit_is_restarted() {
    let mut bench = Bench::in_state(CompanionState::Running);
    let launch = bench.companion().launch().unwrap();
    for _ in 0..2 {
        bench.machine.handle(CompanionEvent::Outgrown(launch, "takes 2 GiB".into()), bench.now);
    }
    assert_eq!(bench.actions(), ["rq takes 2 GiB", "SIGTERM rq 30"]);
    bench.exit(0);
    assert_eq!(bench.actions(), ["spawn rq"]);
}

#[test]
fn all_stop_within_their_own_times_and_within_that_of_all() {
    let mut bench = Bench::new([spec("a"), CompanionSpec { stop_timeout: seconds(3), ..spec("b") }]);
    bench.actions();
    bench
        .machine
        .handle(CompanionEvent::Stop { mode: StopMode::Graceful, limit: Some(seconds(10)) }, bench.now);
    assert_eq!(bench.actions(), ["SIGTERM a 10", "SIGTERM b 3"]);
    bench.machine.handle(CompanionEvent::Stop { mode: StopMode::Now, limit: None }, bench.now);
    bench.wait(1);
    assert_eq!(bench.actions(), ["SIGKILL a", "SIGKILL b"]);
    assert_eq!(
        bench.machine.command(CompanionCommand::Start, "a", bench.now),
        Err(CommandError::ManagerStops)
    );
    bench.exit_of("a", 0);
    assert!(!bench.machine.is_stopped());
    bench.exit_of("b", 0);
    assert!(bench.machine.is_stopped());
}

#[test]
fn what_another_manager_has_left_ends_before_it_is_started_again() {
    let now = Instant::now();
    let mut bench = Bench { machine: Companions::new([spec(NAME)]), now };
    assert!(bench.machine.adopt(NAME, || spec(NAME), now).is_some());
    assert!(bench.machine.adopt(NAME, || spec(NAME), now).is_none());
    assert!(bench.machine.adopt("gone", || spec("gone"), now).is_some());
    bench.machine.begin(now);
    assert_eq!((bench.actions(), bench.state()), (vec![], CompanionState::Stopping));
    bench.wait(60);
    assert_eq!(bench.actions(), ["SIGKILL rq", "SIGKILL gone"]);
    bench.exit_of(NAME, 0);
    bench.exit_of("gone", 0);
    assert_eq!(bench.actions(), ["spawn rq"]);
    assert!(bench.machine.find("gone").is_none());
    assert_eq!(bench.state_of(NAME), CompanionState::Starting);
}

#[test]
fn dependants_wait_for_what_another_manager_has_left_and_for_nobody_who_has_given_up() {
    let now = Instant::now();
    let dependant = CompanionSpec { depends_on: vec!["redis".into()], ..spec(NAME) };
    let restarts = RestartPolicy { intensity: Some(0), ..spec("redis").restarts };
    let redis = CompanionSpec { restarts, ..spec("redis") };
    let mut bench = Bench { machine: Companions::new([dependant, redis]), now };
    assert!(bench.machine.adopt("redis", || spec("redis"), now).is_some());
    bench.machine.begin(now);
    assert_eq!(bench.actions(), [""; 0]);
    bench.exit_of("redis", 0);
    assert_eq!(bench.actions(), ["spawn redis"]);
    bench.exit_of("redis", 0);
    assert!(bench.machine.find("redis").unwrap().has_given_up());
    assert_eq!(bench.actions(), ["spawn rq"]);
}

#[test]
fn the_order_holds_for_restarts_and_retries_too() {
    let dependant = CompanionSpec { depends_on: vec!["redis".into()], ..spec(NAME) };
    let mut bench = Bench::new([dependant, spec("redis")]);
    bench.wait(1);
    bench.wait(1);
    bench.actions();
    for name in [NAME, "redis"] {
        bench.machine.command(CompanionCommand::Restart, name, bench.now).unwrap();
    }
    assert_eq!(bench.actions(), ["SIGTERM rq 30", "SIGTERM redis 30"]);
    bench.exit_of(NAME, 0);
    assert_eq!(bench.actions(), [""; 0]);
    bench.exit_of("redis", 0);
    assert_eq!(bench.actions(), ["spawn redis"]);
    bench.wait(1);
    assert_eq!(bench.actions(), ["spawn rq"]);
    // Both crash: the second one's delay is over before the first one runs.
    bench.exit_of(NAME, 1);
    bench.exit_of("redis", 1);
    bench.wait(5);
    assert_eq!(bench.actions(), ["spawn redis"]);
    assert_eq!(bench.companion().rest(), Some(Rest::Waiting));
    bench.wait(1);
    assert_eq!(bench.actions(), ["spawn rq"]);
    assert_eq!((bench.companion().exit_count(), bench.companion().restart_count()), (2, 2));
}

#[test]
fn what_cannot_begin_or_ends_too_soon_is_not_tried_again_at_once() {
    let restarts =
        RestartPolicy { base_delay: Duration::ZERO, max_delay: Duration::ZERO, ..spec(NAME).restarts };
    let mut bench = Bench::new([CompanionSpec { restarts, ..spec(NAME) }]);
    bench.exit(1);
    assert_eq!(bench.companion().next_retry(), Some(bench.now + Duration::from_millis(100)));
    bench.wait(1);
    bench.now += Duration::from_millis(100);
    // It has lasted a while.
    bench.exit(1);
    assert_eq!(bench.companion().next_retry(), Some(bench.now));
    bench.wait(0);
    let launch = bench.companion().launch().unwrap();
    let end = CompanionEnd::NotForked("no memory".into());
    bench.machine.handle(CompanionEvent::Ended(launch, end), bench.now);
    assert_eq!(bench.companion().next_retry(), Some(bench.now + Duration::from_millis(100)));
}

#[test]
fn who_was_stopped_by_hand_under_another_manager_stays_so() {
    let now = Instant::now();
    let mut bench = Bench { machine: Companions::new([spec("a"), spec(NAME)]), now };
    bench.machine.keep_stopped("a");
    bench.machine.keep_stopped(NAME);
    bench.machine.keep_stopped("gone");
    assert!(bench.machine.adopt(NAME, || spec(NAME), now).is_some());
    bench.machine.begin(now);
    bench.exit(0);
    bench.wait(3600);
    assert_eq!(bench.actions(), [""; 0]);
    assert!(bench.machine.iter().all(Companion::is_stopped_by_hand));
}

#[test]
fn nothing_is_started_before_the_beginning() {
    let now = Instant::now();
    let mut bench = Bench { machine: Companions::new([spec("a")]), now };
    let launch = bench.machine.adopt("a", || spec("a"), now).unwrap();
    let end = CompanionEnd::Exit(ExitStatus::Code(0));
    bench.machine.handle(CompanionEvent::Ended(launch, end), now);
    bench.machine.reread([spec("a"), spec(NAME)], now);
    assert_eq!(bench.actions(), [""; 0]);
    bench.machine.begin(now);
    assert_eq!(bench.actions(), ["spawn a", "spawn rq"]);
}

#[test]
fn an_unknown_name_is_answered_with_those_that_there_are() {
    let mut bench = Bench::new([spec("a"), spec("b")]);
    let error = bench.machine.command(CompanionCommand::Stop, "c", bench.now).unwrap_err();
    assert_eq!(error.to_string(), "no companion is called \"c\"; there are: a, b");
}
