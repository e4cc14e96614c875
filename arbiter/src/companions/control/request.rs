//! One line from a client, as what it asks for.

use serde_json::{Map, Value};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::companions) enum Request {
    /// What is there, and how it is.
    Status {
        /// This one alone; `None` is all.
        name: Option<String>,
    },
    /// Read the configuration of the companions again.
    Reread,
    /// Start this one.
    Start(String),
    /// Stop this one.
    Stop(String),
    /// Stop this one and start it again.
    Restart(String),
}

impl Request {
    /// Reads a line, without its end. The error is the text for the client.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line)
            .map_err(|error| format!("byte {} of the line is not UTF-8: {FORM}", error.valid_up_to() + 1))?;
        if text.trim().is_empty() {
            return Err(format!("the line is empty: {FORM}"));
        }
        let mut fields = match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            Ok(other) => return Err(format!("the line is {}: {FORM}", shown(&other))),
            Err(error) => return Err(format!("the line is no JSON ({}): {FORM}", place(&error))),
        };
        let cmd = match fields.remove("cmd") {
            Some(Value::String(cmd)) => cmd,
            Some(other) => return Err(format!("\"cmd\" is {}: {COMMANDS}", shown(&other))),
            None => return Err(format!("\"cmd\" is missing: {COMMANDS}")),
        };
        let request = match cmd.as_str() {
            "status" => Self::Status { name: name(&mut fields, &cmd)? },
            "reread" => Self::Reread,
            "start" => Self::Start(required(name(&mut fields, &cmd)?, &cmd)?),
            "stop" => Self::Stop(required(name(&mut fields, &cmd)?, &cmd)?),
            "restart" => Self::Restart(required(name(&mut fields, &cmd)?, &cmd)?),
            _ => return Err(format!("unknown \"cmd\" {}: {COMMANDS}", shown(&Value::String(cmd)))),
        };
        let Some(field) = fields.into_iter().map(|(field, _)| field).next() else { return Ok(request) };
        let allowed = match request {
            Self::Reread => "is only \"cmd\"",
            _ => "are \"cmd\" and \"name\"",
        };
        let field = shown(&Value::String(field));
        Err(format!("\"{cmd}\" has no field {field}: allowed {allowed}"))
    }
}

/// Takes the name of a companion.
fn name(fields: &mut Map<String, Value>, cmd: &str) -> Result<Option<String>, String> {
    match fields.remove("name") {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name)),
        Some(other) => Err(format!(
            "\"name\" of \"{cmd}\" is {}: allowed is the name of a companion, a text",
            shown(&other)
        )),
    }
}

fn required(name: Option<String>, cmd: &str) -> Result<String, String> {
    name.ok_or_else(|| format!("\"{cmd}\" needs a \"name\": the name of a companion"))
}

/// A value as JSON, if it is short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// What the parser says, of a text that has one line only.
fn place(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at byte ")
}

/// What a line is.
const FORM: &str = "allowed is an object such as {\"cmd\":\"status\"} or {\"cmd\":\"stop\",\"name\":\"scheduler\"} in one line of JSON";
const COMMANDS: &str = "allowed are \"status\", \"reread\", \"start\", \"stop\" and \"restart\"";
/// Characters of a wrong value that are repeated to whoever sent it.
const MOST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        Request::parse(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_command_is_read() {
        let name = || "rq-default".to_owned();
        for (line, expected) in [
            (r#"{"cmd": "status"}"#, Request::Status { name: None }),
            (r#"{"cmd": "status", "name": "rq-default"}"#, Request::Status { name: Some(name()) }),
            (r#"{"cmd": "reread"}"#, Request::Reread),
            ("\t{\"name\": \"rq-default\", \"cmd\": \"start\"} \r", Request::Start(name())),
            (r#"{"cmd": "stop", "name": "rq-default"}"#, Request::Stop(name())),
            (r#"{"cmd": "restart", "name": "rq-\u0064efault"}"#, Request::Restart(name())),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_request_is_answered_with_what_was_found_and_what_is_allowed() {
        for (line, expected) in [
            ("", "the line is empty: allowed is an object such as {\"cmd\":\"status\"} or"),
            (" \r", "the line is empty: "),
            ("status", "the line is no JSON (expected value at byte 1): allowed is an object"),
            (r#"{"cmd": "status""#, "the line is no JSON (EOF while parsing an object at byte 16): "),
            (r#"{"cmd": "status"} {}"#, "the line is no JSON (trailing characters at byte 19): "),
            (r#"["status"]"#, "the line is [\"status\"]: allowed is an object"),
            ("7", "the line is 7: allowed is an object"),
            (
                "{}",
                "\"cmd\" is missing: allowed are \"status\", \"reread\", \"start\", \"stop\" and \"restart\"",
            ),
            (r#"{"cmd": null}"#, "\"cmd\" is null: allowed are \"status\","),
            (r#"{"cmd": "Status"}"#, "unknown \"cmd\" \"Status\": allowed are \"status\","),
            (r#"{"cmd": "start"}"#, "\"start\" needs a \"name\": the name of a companion"),
            (
                r#"{"cmd": "stop", "name": 3}"#,
                "\"name\" of \"stop\" is 3: allowed is the name of a companion",
            ),
            (r#"{"cmd": "status", "name": null}"#, "\"name\" of \"status\" is null: allowed is the name"),
            (
                r#"{"cmd": "reread", "name": "a"}"#,
                "\"reread\" has no field \"name\": allowed is only \"cmd\"",
            ),
            (
                r#"{"cmd": "stop", "name": "a", "now": 1}"#,
                "\"stop\" has no field \"now\": allowed are \"cmd\" and \"name\"",
            ),
        ] {
            let found = error(line);
            assert!(found.starts_with(expected), "{line}: {found}");
        }
        let found = Request::parse(b"{\"cmd\": \"\xff\"}").unwrap_err();
        assert!(found.starts_with("byte 10 of the line is not UTF-8: allowed is"), "{found}");
    }

    #[test]
    fn a_deep_line_is_an_error_and_a_long_word_is_not_repeated_in_full() {
        let found = error(&"[".repeat(60_000));
        assert!(found.starts_with("the line is no JSON (recursion limit exceeded"), "{found}");
        let found = error(&format!("{{\"cmd\": \"{}\"}}", "ä".repeat(30_000)));
        assert!(found.contains("… (60002 bytes): allowed are") && found.len() < 400, "{found}");
    }
}
