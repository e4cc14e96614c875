//! Questions to a dirty arbiter, ours or gunicorn's.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use gunmetal::blocking::Client;
use gunmetal::client::ClientConfig;
use gunmetal::protocol::ManageOp;
use gunmetal::{Args, Value};

use super::output::written;

/// What a dirty arbiter is asked.
#[derive(Subcommand)]
pub(crate) enum Question {
    /// Show the dirty arbiter and its workers
    Status,
    /// Call an action and print its result as JSON; bytes are written as they are
    Call(Call),
    /// Start more dirty workers
    Add {
        /// How many
        #[arg(default_value_t = 1, value_parser = worker_count, allow_negative_numbers = true)]
        count: u32,
    },
    /// Stop some dirty workers, once they have nothing to do
    Remove {
        /// How many
        #[arg(default_value_t = 1, value_parser = worker_count, allow_negative_numbers = true)]
        count: u32,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Call {
    /// The app, module:Name
    app: String,
    /// The action
    action: String,
    /// Arguments: JSON, or else text; @FILE for the bytes of a file; name=ARGUMENT by keyword
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Seconds to wait for the result
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Print every chunk of an action that streams
    #[arg(long)]
    stream: bool,
}

impl Question {
    /// Asks the dirty arbiter at `socket`, or at the one that the environment names.
    pub(crate) fn ask(self, socket: Option<PathBuf>) -> anyhow::Result<()> {
        let config = match socket {
            Some(path) => ClientConfig::new(path),
            None => ClientConfig::from_env()?,
        };
        match self {
            Self::Status => show_status(&Client::new(config)),
            Self::Add { count } => manage(&Client::new(config), ManageOp::Add, count),
            Self::Remove { count } => manage(&Client::new(config), ManageOp::Remove, count),
            Self::Call(call) => {
                let timeout =
                    call.timeout.map(Duration::try_from_secs_f64).transpose().context("--timeout")?;
                let client = Client::new(config.with_call_timeout(timeout));
                let args = arguments(&call.arguments)?;
                if call.stream {
                    for chunk in client.stream::<Value>(&call.app, &call.action, args) {
                        print(&chunk?)?;
                    }
                    return Ok(());
                }
                print(&client.execute::<Value>(&call.app, &call.action, args)?)
            }
        }
    }
}

fn show_status(client: &Client) -> anyhow::Result<()> {
    let status = client.status()?;
    let server = status.server.as_deref().unwrap_or("dirty arbiter");
    let mut out = io::stdout().lock();
    written(writeln!(out, "{server}, pid {}, {} workers", status.arbiter_pid, status.worker_count))?;
    let titles = ("PID", "AGE", "STATE", "UPTIME", "HEARTBEAT", "CALLS", "RUNNING");
    let (pid, age, state, uptime, heartbeat, calls, running) = titles;
    written(writeln!(
        out,
        "{pid:>8} {age:>5} {state:>8} {uptime:>9} {heartbeat:>9} {calls:>9} {running:>8}  APPS"
    ))?;
    for worker in &status.workers {
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let secs = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |secs| format!("{secs:.0} s"));
        let (pid, age) = (worker.pid, worker.age);
        let state = worker.state.as_deref().unwrap_or(if worker.booted { "ready" } else { "-" });
        let (uptime, heartbeat) = (secs(worker.uptime), secs(worker.last_heartbeat));
        let (calls, running) = (number(worker.calls), number(worker.running));
        let apps = if worker.apps.is_empty() { "none".to_owned() } else { worker.apps.join(" ") };
        written(writeln!(
            out,
            "{pid:>8} {age:>5} {state:>8} {uptime:>9} {heartbeat:>9} {calls:>9} {running:>8}  {apps}"
        ))?;
    }
    Ok(())
}

/// On the wire a count below one is one, as gunicorn has it: nobody who types it means that.
fn worker_count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a number of workers is 1 at least".to_owned()),
    }
}

fn manage(client: &Client, op: ManageOp, count: u32) -> anyhow::Result<()> {
    let reply = client.manage(op, count)?;
    let requested = reply.requested;
    let done = match op {
        ManageOp::Add => format!("{} of {requested} workers started", reply.spawned),
        ManageOp::Remove => format!("{} of {requested} workers stopping", reply.removed),
    };
    let starting = match reply.starting {
        0 => String::new(),
        count => format!(" ({count} not ready yet)"),
    };
    let (total, target) = (reply.total_workers, reply.target_workers);
    written(writeln!(io::stdout().lock(), "{done}{starting}; there are {total}, there shall be {target}"))?;
    if let Some(reason) = reply.reason {
        eprintln!("gunmetal: {reason}");
    }
    anyhow::ensure!(reply.failed == 0, "{} of the new workers failed to start", reply.failed);
    Ok(())
}

/// `name=…` with an identifier before the sign is a keyword argument, everything else a positional one.
fn arguments(texts: &[String]) -> anyhow::Result<Args> {
    let mut args = Args::default();
    for text in texts {
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
        };
        match text.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, text)) => {
                args.keyword.insert(name, argument(text)?);
            }
            None => args.positional.push(argument(text)?),
        }
    }
    Ok(args)
}

fn argument(text: &str) -> anyhow::Result<Value> {
    if let Some(path) = text.strip_prefix('@') {
        let bytes = std::fs::read(path).with_context(|| format!("argument {text:?}"))?;
        return Ok(Value::Bytes(bytes.into()));
    }
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}

fn print(value: &Value) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match value {
        Value::Bytes(bytes) => written(out.write_all(bytes).and_then(|()| out.flush())),
        value => written(writeln!(out, "{}", serde_json::to_string(value)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_json_or_text_by_position_or_by_name() {
        let texts =
            ["1", "[2.5, null]", "plain", "\"1\"", "size=256", "1=2", "https://a/?b=c"].map(str::to_owned);
        let args = arguments(&texts).unwrap();
        let list = gunmetal::value!([2.5, null]);
        let expected = gunmetal::args![1, list, "plain", "1", "1=2", "https://a/?b=c"; size = 256];
        assert_eq!(args, expected);
    }
}
