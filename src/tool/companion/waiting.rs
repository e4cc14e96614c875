//! Whether a companion that waits for others has something to hope for.

use super::answer::{Companion, State};

/// Whether `companion` will be started without anybody's help: each one that it waits for runs, is on its way there, or waits for
/// such itself. All others are not looked at, whatever they do.
pub(super) fn will_be_started(companion: &Companion, all: &[Companion]) -> bool {
    let mut waiting = vec![companion];
    // Grows while it is walked. Each is looked at once, should an answer lead in a circle.
    let mut next = 0;
    while let Some(companion) = waiting.get(next).copied() {
        next += 1;
        let Some(names) = companion.description.strip_prefix("waits for ") else { return false };
        if companion.manual_stop {
            return false;
        }
        // No name has a blank in it.
        for name in names.split(", ").filter(|name| !name.is_empty()) {
            let Some(awaited) = all.iter().find(|other| other.name == name) else { return false };
            match awaited.state {
                State::Starting | State::Running | State::Stopping => {}
                State::Backoff if awaited.next_retry_at.is_some() => {}
                State::Stopped if waiting.iter().any(|seen| seen.name == name) => {}
                State::Stopped => waiting.push(awaited),
                // Given up, or nobody knows what.
                State::Backoff | State::Other(_) => return false,
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Companions as `name STATE description`, of which those with a `+` before their name have a retry due.
    fn companions(lines: &[&str]) -> Vec<Companion> {
        let companion = |line: &&str| {
            let mut words = line.splitn(3, ' ');
            let (name, state) = (words.next().unwrap(), words.next().unwrap());
            let due = name.strip_prefix('+');
            let status = json!({
                "name": due.unwrap_or(name),
                "state": state,
                "description": words.next().unwrap_or_default(),
                "next_retry_at": due.map(|_| 1),
            });
            serde_json::from_value(status).unwrap()
        };
        lines.iter().map(companion).collect()
    }

    /// Whether the first one will be started.
    fn hopes(lines: &[&str]) -> bool {
        let all = companions(lines);
        will_be_started(&all[0], &all)
    }

    #[test]
    fn what_is_on_its_way_is_waited_for() {
        for other in
            ["b STARTING", "b RUNNING", "b STOPPING", "+b BACKOFF exited with status 1, retrying in 5s"]
        {
            assert!(hopes(&["a STOPPED waits for b", other]), "{other}");
        }
        for other in [
            "b BACKOFF exited with status 1, given up after 5 restarts in a row",
            "b STOPPED stopped manually",
            "b STOPPED not started",
            "b FATAL",
            "c STARTING",
        ] {
            assert!(!hopes(&["a STOPPED waits for b", other]), "{other}");
        }
        assert!(!hopes(&["a STOPPED not started", "b STARTING"]));
    }

    #[test]
    fn all_that_are_waited_for_count_and_nobody_else() {
        let flapping = "+c BACKOFF";
        assert!(!hopes(&["a STOPPED waits for b", "b STOPPED stopped manually", flapping]));
        assert!(!hopes(&["a STOPPED waits for c, b", "b BACKOFF given up", flapping]));
        assert!(hopes(&["a STOPPED waits for c, b", "b STARTING", flapping, "d BACKOFF given up"]));
        // A comma may be part of a name.
        assert!(hopes(&["a STOPPED waits for b,, c", "b, STARTING", flapping]));
    }

    #[test]
    fn what_is_waited_for_may_wait_itself() {
        let two = ["a STOPPED waits for b", "b STOPPED waits for c"];
        assert!(hopes(&[&two[..], &["c STARTING"]].concat()));
        assert!(!hopes(&[&two[..], &["c BACKOFF given up", "d STARTING"]].concat()));
        // No configuration leads in a circle; an answer might.
        assert!(hopes(&[&two[..], &["c STOPPED waits for a"]].concat()));
    }
}
