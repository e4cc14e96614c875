//! What a client is answered.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The answer to one request.
#[derive(Clone, Debug)]
pub(in crate::companions) enum Reply {
    /// To a question for the status.
    Status(Vec<CompanionStatus>),
    /// It is done, or on its way.
    Done {
        /// What has been done.
        message: String,
    },
    /// To a reread that has succeeded: the names of the companions, and what became of them.
    Reread {
        /// Those that are new.
        added: Vec<String>,
        /// Those that are no more.
        removed: Vec<String>,
        /// Those that are started again with what has changed.
        restarted: Vec<String>,
        /// Those whose processes were left alone.
        unchanged: Vec<String>,
    },
    /// It cannot be done.
    Refused {
        /// Why not.
        error: String,
    },
    /// The configuration cannot be used, so the old one holds on.
    Kept {
        /// Why not.
        error: String,
    },
}

/// How a companion is.
#[derive(Clone, Debug, Serialize)]
pub(in crate::companions) struct CompanionStatus {
    /// What it is called.
    pub(in crate::companions) name: String,
    /// `STOPPED`, `STARTING`, `RUNNING`, `BACKOFF` or `STOPPING`.
    pub(in crate::companions) state: &'static str,
    /// Its process, while it has one.
    pub(in crate::companions) pid: Option<i32>,
    /// The same as a text for people.
    pub(in crate::companions) description: String,
    /// Whole seconds since its process was started, while it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) uptime: Option<u64>,
    /// When its process was started last, in seconds since 1970, as the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) started_at: Option<u64>,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) next_retry_at: Option<u64>,
    /// When its process ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) last_exited_at: Option<u64>,
    /// The time between its end and the next start, while that is waited for; in seconds.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub(in crate::companions) restart_delay: Option<Duration>,
    /// The code with which its last process has ended, unless that was a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) last_exit_code: Option<i32>,
    /// The signal that has ended its last process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) last_exit_signal: Option<i32>,
    /// How many of its processes have ended.
    pub(in crate::companions) exit_count: u64,
    /// How often it was started again.
    pub(in crate::companions) restart_count: u64,
    /// How many of its processes had to be killed after they were told to stop.
    pub(in crate::companions) stop_timeout_kills: u64,
    /// Whether somebody has stopped it by a command.
    pub(in crate::companions) manual_stop: bool,
    /// Whether it is configured no more, and only ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::companions) removed: bool,
    /// Why it is in this state, where the state alone does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::companions) reason: Option<String>,
    /// What it runs.
    #[serde(flatten)]
    pub(in crate::companions) runs: Runs,
    /// The file that its standard output goes to; `None` is where that of the service goes.
    pub(in crate::companions) stdout: Option<String>,
    /// The file that its standard error goes to, that of the standard output if the two are one; `None` is where that of
    /// the service goes.
    pub(in crate::companions) stderr: Option<String>,
}

/// What a companion runs: in the answer a field `target` or a field `command`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::companions) enum Runs {
    /// A function, under the name with which it is registered.
    Target(String),
    /// A program with its arguments.
    Command(Vec<String>),
}

impl Reply {
    /// The line that tells it, without its end.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let ok = true;
        match self {
            Self::Status(companions) => line(&Shown { ok, companions }),
            Self::Done { message } => line(&Message { ok, message }),
            Self::Reread { added, removed, restarted, unchanged } => {
                line(&Diff { ok, added, removed, restarted, unchanged })
            }
            Self::Refused { error } => line(&Failure { ok: false, error, kept_old_config: None }),
            Self::Kept { error } => line(&Failure { ok: false, error, kept_old_config: Some(true) }),
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    ok: bool,
    companions: &'a [CompanionStatus],
}

#[derive(Serialize)]
struct Message<'a> {
    ok: bool,
    message: &'a str,
}

#[derive(Serialize)]
struct Diff<'a> {
    ok: bool,
    added: &'a [String],
    removed: &'a [String],
    restarted: &'a [String],
    unchanged: &'a [String],
}

#[derive(Serialize)]
struct Failure<'a> {
    ok: bool,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_old_config: Option<bool>,
}

fn line(reply: &impl Serialize) -> Vec<u8> {
    // JSON has no line ends outside of texts, and writes those within as escapes.
    serde_json::to_vec(reply).expect("texts, numbers and lists of them have a JSON form")
}

/// Whole seconds as a whole number, as they were configured.
fn seconds<S: Serializer>(delay: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match delay {
        None => serializer.serialize_none(),
        Some(delay) if delay.subsec_nanos() == 0 => serializer.serialize_u64(delay.as_secs()),
        Some(delay) => serializer.serialize_f64(delay.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: &Reply) -> String {
        String::from_utf8(reply.to_line()).unwrap()
    }

    fn backoff() -> CompanionStatus {
        CompanionStatus {
            name: "rq-long".into(),
            state: "BACKOFF",
            pid: None,
            description: "exited with status 1, retrying in 3s".into(),
            uptime: None,
            started_at: Some(1_729_999_990),
            next_retry_at: Some(1_730_000_000),
            last_exited_at: Some(1_729_999_995),
            restart_delay: Some(Duration::from_secs(5)),
            last_exit_code: Some(1),
            last_exit_signal: None,
            exit_count: 2,
            restart_count: 1,
            stop_timeout_kills: 0,
            manual_stop: false,
            removed: false,
            reason: None,
            runs: Runs::Target("queues:long".into()),
            stdout: Some("/var/log/rq.log".into()),
            stderr: None,
        }
    }

    #[test]
    fn every_answer_is_one_line_with_ok_first() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let reread = Reply::Reread {
            added: names("new-worker"),
            removed: names("old-worker"),
            restarted: names("a b"),
            unchanged: Vec::new(),
        };
        for (reply, expected) in [
            (Reply::Status(Vec::new()), r#"{"ok":true,"companions":[]}"#),
            (Reply::Done { message: "a started".into() }, r#"{"ok":true,"message":"a started"}"#),
            (
                reread,
                r#"{"ok":true,"added":["new-worker"],"removed":["old-worker"],"restarted":["a","b"],"unchanged":[]}"#,
            ),
            (Reply::Refused { error: "a\nb\u{2028}".into() }, "{\"ok\":false,\"error\":\"a\\nb\u{2028}\"}"),
            (Reply::Kept { error: "bad".into() }, r#"{"ok":false,"error":"bad","kept_old_config":true}"#),
        ] {
            assert_eq!(text(&reply), expected);
        }
    }

    #[test]
    fn a_status_has_no_field_without_a_value_but_its_pid_and_its_outputs() {
        let expected = concat!(
            r#"{"ok":true,"companions":[{"name":"rq-long","state":"BACKOFF","pid":null,"#,
            r#""description":"exited with status 1, retrying in 3s","started_at":1729999990,"next_retry_at":1730000000,"#,
            r#""last_exited_at":1729999995,"restart_delay":5,"last_exit_code":1,"exit_count":2,"restart_count":1,"#,
            r#""stop_timeout_kills":0,"manual_stop":false,"target":"queues:long","stdout":"/var/log/rq.log","stderr":null}]}"#,
        );
        assert_eq!(text(&Reply::Status(vec![backoff()])), expected);
    }

    #[test]
    fn a_delay_is_a_whole_number_if_it_can_be_and_a_command_is_a_list() {
        let mut status = backoff();
        status.restart_delay = Some(Duration::from_millis(1500));
        status.runs = Runs::Command(vec!["node".into(), "socketio.js".into()]);
        let text = text(&Reply::Status(vec![status]));
        assert!(text.contains(r#""restart_delay":1.5,"#), "{text}");
        assert!(text.contains(r#""command":["node","socketio.js"],"#), "{text}");
    }
}
