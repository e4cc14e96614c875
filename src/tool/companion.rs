//! Questions and commands to a companion manager, by its control socket.

mod answer;
mod change;
mod errand;
mod manager;
mod selection;
mod socket_path;
mod tail;
mod waiting;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::output::{OutputClosed, written};

use answer::{Answer, Companion, State};
use errand::Verb;
use manager::Manager;
use selection::select;

/// Shows, starts and stops companions.
#[derive(Args)]
pub(crate) struct CompanionTool {
    /// Where the companion manager listens [default: GUNMETAL_COMPANION_CONTROL_SOCKET, then what the configuration file says, then gunmetal-companion.sock]
    // In the place of the tool's own, so that before the word `companion` it means this one, too.
    #[arg(
        id = "socket",
        long = "control-socket",
        alias = "socket",
        short,
        global = true,
        value_name = "PATH"
    )]
    socket: Option<PathBuf>,
    /// The configuration file of the service [default: GUNMETAL_CONFIG, then gunmetal.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long a companion manager that is not there is waited for
    #[arg(long, global = true, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    wait: Duration,
    #[command(subcommand)]
    order: Order,
}

/// What a companion manager is asked or told.
#[derive(Subcommand)]
enum Order {
    /// Show companions and how they are; the exit code is 0 if all of them run, 3 if not, 4 if that is not known
    Status {
        /// Those that are meant: names, patterns such as 'rq-*', or all
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Print the answer of the manager, JSON
        #[arg(long)]
        json: bool,
    },
    /// Start companions, and wait until they run
    Start(Change),
    /// Stop companions until they are started again, and wait until they have ended
    Stop(Change),
    /// Stop companions and start them again, and wait until they run
    Restart(Change),
    /// Have the configuration read again, and companions that it changes started, stopped or restarted
    Reread {
        /// Print the answer of the manager, JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the end of what a companion has written to its file
    Tail(Tail),
    /// Print the pids of companions, or that of the companion manager
    Pid {
        /// Those that are meant: names, patterns such as 'rq-*', or all
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Args)]
struct Change {
    /// Those that are meant: names, patterns such as 'rq-*', or all
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Do not wait: print what the manager says at once
    #[arg(long)]
    no_wait: bool,
    /// Print the answers of the manager, JSON, a line each
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Tail {
    /// The name of the companion
    name: String,
    /// Which output
    #[arg(value_enum, default_value = "stdout")]
    output: Output,
    /// Go on with what is written, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many lines of the end
    #[arg(long, short = 'n', value_name = "LINES", conflicts_with = "bytes")]
    lines: Option<u64>,
    /// How many bytes of the end [default: 1600]
    #[arg(long, short = 'c', value_name = "BYTES")]
    bytes: Option<u64>,
}

/// An output of a companion.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Stdout,
    Stderr,
}

impl CompanionTool {
    /// Does what was asked for, and tells if that failed.
    pub(crate) fn run(self) -> ExitCode {
        let failure = match self.order {
            Order::Status { .. } => ExitCode::from(UNKNOWN),
            _ => ExitCode::FAILURE,
        };
        match self.obey() {
            Ok(code) => code,
            Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("gunmetal: {error:#}");
                failure
            }
        }
    }

    fn obey(self) -> anyhow::Result<ExitCode> {
        let variable = |name: &str| std::env::var(name).ok();
        let mut warn = |words: String| eprintln!("gunmetal: {words}");
        let place = socket_path::find(self.socket, self.config, variable, Path::new(""), &mut warn)?;
        let mut manager = Manager::new(place, self.wait);
        match self.order {
            Order::Status { names, json } => show_status(&names, json, &mut manager),
            Order::Start(args) => change::change(Verb::Start, &args, &mut manager),
            Order::Stop(args) => change::change(Verb::Stop, &args, &mut manager),
            Order::Restart(args) => change::change(Verb::Restart, &args, &mut manager),
            Order::Reread { json } => reread(json, &mut manager),
            Order::Tail(args) => {
                let (companions, _) = manager.status()?;
                let companion = companions.iter().find(|companion| companion.name == args.name);
                let Some(companion) = companion else {
                    // Says which ones there are.
                    select(std::slice::from_ref(&args.name), &companions)?;
                    bail!("tail shows one companion, by its name");
                };
                // Nobody is needed from here on, for however long it is followed.
                drop(manager);
                tail::tail(&args, companion).map(|()| ExitCode::SUCCESS)
            }
            Order::Pid { names } if names.is_empty() => {
                written(writeln!(io::stdout(), "{}", manager.pid()?)).map(|()| ExitCode::SUCCESS)
            }
            Order::Pid { names } => show_pids(&names, &mut manager),
        }
    }
}

fn show_status(names: &[String], json: bool, manager: &mut Manager) -> anyhow::Result<ExitCode> {
    let (companions, line) = manager.status()?;
    let companions: Vec<&Companion> = select(names, &companions)?;
    let mut out = io::stdout().lock();
    if json {
        let line = if names.is_empty() { line } else { only(&line, &companions)? };
        written(writeln!(out, "{line}"))?;
    } else {
        let longest = companions.iter().map(|companion| companion.name.chars().count()).max();
        let width = longest.map_or(0, |longest| longest + 1).max(LEAST_NAME_WIDTH);
        for Companion { name, state, description, .. } in &companions {
            let row = format!("{name:<width$}{state:<STATE_WIDTH$}{description}");
            written(writeln!(out, "{}", row.trim_end()))?;
        }
    }
    // What is configured no more is not missed.
    let mut configured = companions.iter().filter(|companion| !companion.removed);
    let all_run = configured.all(|companion| companion.state == State::Running);
    Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::from(NOT_RUNNING) })
}

/// The status in `line`, of these companions only and in this order.
fn only(line: &str, chosen: &[&Companion]) -> anyhow::Result<String> {
    let mut status: Value = serde_json::from_str(line)?;
    if let Some(Value::Array(companions)) = status.get_mut("companions") {
        let place =
            |companion: &Value| chosen.iter().position(|other| companion["name"] == other.name.as_str());
        companions.retain(|companion| place(companion).is_some());
        companions.sort_by_key(place);
    }
    Ok(status.to_string())
}

fn reread(json: bool, manager: &mut Manager) -> anyhow::Result<ExitCode> {
    let (answer, line) = manager.reread()?;
    let mut out = io::stdout().lock();
    if json {
        written(writeln!(out, "{line}"))?;
        return Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if !answer.ok {
        let kept = if answer.kept_old_config { "; the companions stay as they are" } else { "" };
        bail!("{}{kept}", answer.refusal());
    }
    let Answer { added, removed, restarted, .. } = &answer;
    for (names, what) in [(added, "added"), (removed, "removed"), (restarted, "restarted")] {
        for name in names {
            written(writeln!(out, "{name}: {what}"))?;
        }
    }
    if added.is_empty() && removed.is_empty() && restarted.is_empty() {
        written(writeln!(out, "no companion has been added, removed or restarted"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show_pids(names: &[String], manager: &mut Manager) -> anyhow::Result<ExitCode> {
    let (companions, _) = manager.status()?;
    let mut code = ExitCode::SUCCESS;
    for Companion { name, pid, state, description, .. } in select(names, &companions)? {
        match pid {
            Some(pid) => written(writeln!(io::stdout(), "{pid}"))?,
            None => {
                eprintln!("gunmetal: {name} has no process: {state} {description}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| *time <= MOST_PATIENCE)
        .ok_or_else(|| "allowed: seconds, from 0 to 86400".to_owned())
}

/// The columns of `supervisorctl status`.
const LEAST_NAME_WIDTH: usize = 32;
const STATE_WIDTH: usize = 10;
/// Exit codes of `status`, those of init scripts (Linux Standard Base).
const NOT_RUNNING: u8 = 3;
const UNKNOWN: u8 = 4;
const MOST_PATIENCE: Duration = Duration::from_secs(86_400);
