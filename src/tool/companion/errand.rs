//! A command for one companion, until the companion is where it was sent.
//!
//! ```text
//!           refused: it is stopping              has stopped
//!   Sending ────────────────────────▶ Blocked ────────────────▶ Sending
//!      │ obeyed
//!      └──────▶ Obeyed ──▶ the outcome, as soon as the status shows it
//! ```

use super::answer::{Answer, Companion, State};
use super::waiting::will_be_started;

/// What a companion is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    /// What it is called on the control socket.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// One companion's part of a command.
#[derive(Debug)]
pub(super) struct Errand {
    verb: Verb,
    name: String,
    /// How often its processes may have ended without that being news.
    exits: u64,
    /// Whether somebody had stopped it by a command when it was first seen to be stopping.
    was_stopped_by_hand: Option<bool>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sending,
    Blocked,
    Obeyed,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the command, and tell [`Errand::answered`].
    Send,
    /// Look at the status after a while, and tell [`Errand::seen`].
    Wait,
    /// It is over.
    Done(Outcome),
}

/// How it ended, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success(String),
    Failure(String),
}

impl Errand {
    /// The first [`Step`] is to send it. `companion` is how it was before.
    pub(super) fn new(verb: Verb, companion: &Companion) -> Self {
        let name = companion.name.clone();
        let mut errand = Self { verb, name, exits: 0, was_stopped_by_hand: None, phase: Phase::Sending };
        errand.begin(companion);
        errand
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the answer means for somebody who does not wait.
    pub(super) fn at_once(&self, answer: &Answer) -> Outcome {
        match answer.ok {
            true => Outcome::Success(self.message(answer).to_owned()),
            false => Outcome::Failure(answer.refusal().to_owned()),
        }
    }

    /// The command has been answered.
    pub(super) fn answered(&mut self, answer: &Answer) -> Step {
        if !answer.ok {
            let refusal = answer.refusal();
            if self.verb != Verb::Stop && refusal.contains("is stopping; ") {
                self.phase = Phase::Blocked;
                return Step::Wait;
            }
            return Step::Done(Outcome::Failure(refusal.to_owned()));
        }
        let is_there_already = match self.verb {
            Verb::Start => "already running",
            Verb::Stop => "already stopped",
            Verb::Restart => "",
        };
        if self.message(answer) == is_there_already {
            return Step::Done(Outcome::Success(is_there_already.to_owned()));
        }
        self.phase = Phase::Obeyed;
        Step::Wait
    }

    /// The status was looked at: these companions there are, perhaps without this one.
    pub(super) fn seen(&mut self, all: &[Companion]) -> Step {
        let companion = all.iter().find(|companion| companion.name == self.name);
        match (self.phase, companion) {
            (Phase::Sending, _) => Step::Send,
            (Phase::Blocked, Some(companion)) if self.is_overruled(companion) => failed("stopped manually"),
            (Phase::Blocked, Some(companion)) if companion.state != State::Stopping => {
                self.phase = Phase::Sending;
                self.begin(companion);
                Step::Send
            }
            (Phase::Blocked, Some(_)) => Step::Wait,
            (Phase::Obeyed, Some(companion)) => match self.verb {
                Verb::Stop => stopped(companion),
                Verb::Start | Verb::Restart => self.started(companion, all),
            },
            (Phase::Obeyed, None) if self.verb == Verb::Stop => done("stopped"),
            (Phase::Blocked | Phase::Obeyed, None) => failed("it is configured no more"),
        }
    }

    fn started(&self, companion: &Companion, all: &[Companion]) -> Step {
        match companion.state {
            State::Running => done("started"),
            State::Starting if companion.exit_count > self.exits => {
                failed(format!("{}, starting again", last_exit(companion)))
            }
            // A restart, or somebody else's command, whose end will tell.
            State::Starting | State::Stopping => Step::Wait,
            State::Stopped if will_be_started(companion, all) => Step::Wait,
            State::Stopped | State::Backoff => failed(&companion.description),
            State::Other(ref word) => failed(format!("{word} {}", companion.description).trim_end()),
        }
    }

    /// Whether somebody else has said after this command that it is to be stopped: the last word counts.
    fn is_overruled(&mut self, companion: &Companion) -> bool {
        let was_stopped = *self.was_stopped_by_hand.get_or_insert(companion.manual_stop);
        companion.manual_stop && !was_stopped
    }

    /// `companion` is how it is before the command is sent.
    fn begin(&mut self, companion: &Companion) {
        // One end more than there were may be that of a process that was there before the command.
        self.exits = companion.exit_count + 1;
        self.was_stopped_by_hand = (companion.state == State::Stopping).then_some(companion.manual_stop);
    }

    /// The message of the manager, which may begin with the name.
    fn message<'a>(&self, answer: &'a Answer) -> &'a str {
        let message = answer.message.as_deref().unwrap_or("done");
        let rest = message.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix(' '));
        rest.unwrap_or(message)
    }
}

fn stopped(companion: &Companion) -> Step {
    match &companion.state {
        State::Stopped => done("stopped"),
        State::Stopping => Step::Wait,
        state => failed(format!("it was started again: {state} {}", companion.description).trim_end()),
    }
}

fn last_exit(companion: &Companion) -> String {
    match (companion.last_exit_code, companion.last_exit_signal) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn done(words: &str) -> Step {
    Step::Done(Outcome::Success(words.to_owned()))
}

fn failed(reason: impl Into<String>) -> Step {
    Step::Done(Outcome::Failure(reason.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn companion(state: &str, description: &str) -> Companion {
        let status = json!({ "name": "a", "state": state, "description": description, "exit_count": 3 });
        serde_json::from_value(status).unwrap()
    }

    fn ok(message: &str) -> Answer {
        Answer { ok: true, message: Some(message.to_owned()), ..Answer::default() }
    }

    fn refused(error: &str) -> Answer {
        Answer { error: Some(error.to_owned()), ..Answer::default() }
    }

    /// An errand whose command was obeyed.
    fn obeyed(verb: Verb, message: &str) -> Errand {
        let mut errand = Errand::new(verb, &companion("RUNNING", ""));
        assert_eq!(errand.seen(&[]), Step::Send);
        assert_eq!(errand.answered(&ok(message)), Step::Wait);
        errand
    }

    fn words(step: Step) -> String {
        match step {
            Step::Done(Outcome::Success(words)) => words,
            Step::Done(Outcome::Failure(words)) => format!("ERROR {words}"),
            Step::Send => "send".to_owned(),
            Step::Wait => "wait".to_owned(),
        }
    }

    #[test]
    fn a_start_ends_with_what_became_of_it() {
        for (state, description, expected) in [
            ("STARTING", "", "wait"),
            ("STOPPING", "", "wait"),
            ("RUNNING", "pid 7, uptime 00:00:01", "started"),
            ("BACKOFF", "exited with status 1, retrying in 5s", "ERROR exited with status 1, retrying in 5s"),
            ("STOPPED", "waits for db", "ERROR waits for db"),
            ("FATAL", "gone", "ERROR FATAL gone"),
        ] {
            for verb in [Verb::Start, Verb::Restart] {
                let step = obeyed(verb, "a started").seen(&[companion(state, description)]);
                assert_eq!(words(step), expected, "{verb:?} {state}");
            }
        }
        assert_eq!(words(obeyed(Verb::Start, "a started").seen(&[])), "ERROR it is configured no more");
    }

    #[test]
    fn a_start_waits_for_those_that_it_depends_on_as_long_as_they_are_on_their_way() {
        let mut errand = obeyed(Verb::Start, "a waits for db");
        let db = |state: &str, next_retry_at: Option<u64>| Companion {
            name: "db".into(),
            next_retry_at,
            ..companion(state, "exited with status 1")
        };
        let mut seen = |db: Companion| words(errand.seen(&[companion("STOPPED", "waits for db"), db]));
        assert_eq!(seen(db("STARTING", None)), "wait");
        assert_eq!(seen(db("BACKOFF", Some(1))), "wait");
        assert_eq!(seen(db("BACKOFF", None)), "ERROR waits for db");
        // Another one that comes and goes is nothing to wait for.
        let other = Companion { name: "other".into(), ..db("STARTING", Some(1)) };
        assert_eq!(seen(other), "ERROR waits for db");
    }

    #[test]
    fn an_end_that_nobody_saw_is_found_out_by_the_count() {
        let mut errand = obeyed(Verb::Start, "a started");
        let mut starting = companion("STARTING", "");
        (starting.exit_count, starting.last_exit_code) = (4, Some(1));
        assert_eq!(words(errand.seen(std::slice::from_ref(&starting))), "wait");
        starting.exit_count = 5;
        assert_eq!(
            words(errand.seen(std::slice::from_ref(&starting))),
            "ERROR exited with status 1, starting again"
        );
        (starting.last_exit_code, starting.last_exit_signal) = (None, Some(9));
        assert_eq!(
            words(errand.seen(std::slice::from_ref(&starting))),
            "ERROR killed by signal 9, starting again"
        );
    }

    #[test]
    fn a_stop_ends_when_the_process_has() {
        for (state, expected) in [
            ("STOPPING", "wait"),
            ("STOPPED", "stopped"),
            ("STARTING", "ERROR it was started again: STARTING pid 8"),
        ] {
            let step = obeyed(Verb::Stop, "a stopping").seen(&[companion(state, "pid 8")]);
            assert_eq!(words(step), expected, "{state}");
        }
        assert_eq!(words(obeyed(Verb::Stop, "a stopping").seen(&[])), "stopped");
    }

    #[test]
    fn what_is_so_already_needs_no_wait() {
        for (verb, message, expected) in [
            (Verb::Start, "a already running", "already running"),
            (Verb::Start, "already running", "already running"),
            (Verb::Start, "a already starting", "wait"),
            (Verb::Stop, "a already stopped", "already stopped"),
            (Verb::Stop, "a already stopping", "wait"),
            (Verb::Restart, "a already running", "wait"),
        ] {
            let mut errand = Errand::new(verb, &companion("RUNNING", ""));
            assert_eq!(words(errand.answered(&ok(message))), expected, "{verb:?} {message}");
        }
    }

    #[test]
    fn what_is_stopping_is_started_once_it_has_stopped() {
        for verb in [Verb::Start, Verb::Restart] {
            let mut errand = Errand::new(verb, &companion("STOPPING", ""));
            let answer = refused("a is stopping; poll status and retry");
            assert_eq!(words(errand.answered(&answer)), "wait");
            assert_eq!(words(errand.seen(&[companion("STOPPING", "")])), "wait");
            assert_eq!(words(errand.seen(&[companion("STOPPED", "")])), "send");
            assert_eq!(words(errand.answered(&ok("a started"))), "wait");
            assert_eq!(words(errand.seen(&[companion("RUNNING", "")])), "started");
        }
    }

    #[test]
    fn a_stop_by_somebody_else_while_the_end_is_waited_for_is_the_last_word() {
        let by_hand = |state: &str, manual_stop: bool| Companion { manual_stop, ..companion(state, "") };
        let refusal = refused("a is stopping; poll status and retry");
        for verb in [Verb::Start, Verb::Restart] {
            for later in ["STOPPING", "STOPPED"] {
                let mut errand = Errand::new(verb, &by_hand("STOPPING", false));
                assert_eq!(words(errand.answered(&refusal)), "wait");
                assert_eq!(words(errand.seen(&[by_hand("STOPPING", false)])), "wait");
                assert_eq!(words(errand.seen(&[by_hand(later, true)])), "ERROR stopped manually");
            }
            // Stopped before the command, seen by it or not, it is started.
            for before in ["STOPPING", "RUNNING"] {
                let mut errand = Errand::new(verb, &by_hand(before, before == "STOPPING"));
                assert_eq!(words(errand.answered(&refusal)), "wait");
                assert_eq!(words(errand.seen(&[by_hand("STOPPING", true)])), "wait");
                assert_eq!(words(errand.seen(&[by_hand("STOPPED", true)])), "send");
            }
        }
    }

    #[test]
    fn another_refusal_is_final() {
        let mut errand = Errand::new(Verb::Start, &companion("STOPPED", ""));
        let answer = refused("the companion manager is stopping");
        assert_eq!(words(errand.answered(&answer)), "ERROR the companion manager is stopping");
    }

    #[test]
    fn who_does_not_wait_is_told_what_the_manager_says() {
        let errand = Errand::new(Verb::Stop, &companion("RUNNING", ""));
        assert_eq!(errand.at_once(&ok("a stopping")), Outcome::Success("stopping".into()));
        assert_eq!(errand.at_once(&ok("stopping")), Outcome::Success("stopping".into()));
        assert_eq!(errand.at_once(&refused("no")), Outcome::Failure("no".into()));
    }
}
