//! Starting, stopping and restarting companions.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::Change;
use super::errand::{Errand, Outcome, Step, Verb};
use super::manager::Manager;
use super::selection::select;
use crate::tool::output::written;

/// Sends the command for all companions that are meant, then waits until each is where it was sent.
pub(super) fn change(verb: Verb, args: &Change, manager: &mut Manager) -> anyhow::Result<ExitCode> {
    let (mut companions, _) = manager.status()?;
    let chosen = select(&args.names, &companions)?;
    let mut open: Vec<Errand> = chosen.iter().map(|companion| Errand::new(verb, companion)).collect();
    let mut has_failed = false;
    loop {
        let mut rest = Vec::new();
        for mut errand in open {
            let mut step = errand.seen(&companions);
            if step == Step::Send {
                let (answer, line) = manager.command(verb.as_str(), errand.name())?;
                if args.json {
                    written(writeln!(io::stdout(), "{line}"))?;
                }
                step = match args.no_wait {
                    true => Step::Done(errand.at_once(&answer)),
                    false => errand.answered(&answer),
                };
            }
            match step {
                Step::Done(outcome) => has_failed |= !tell(errand.name(), &outcome, args)?,
                Step::Send | Step::Wait => rest.push(errand),
            }
        }
        if rest.is_empty() {
            return Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        open = rest;
        std::thread::sleep(POLL_INTERVAL);
        (companions, _) = manager.status()?;
    }
}

/// Prints how it ended; returns whether that was a success.
fn tell(name: &str, outcome: &Outcome, args: &Change) -> anyhow::Result<bool> {
    match outcome {
        // The manager's own answer has been printed.
        Outcome::Success(_) if args.json => {}
        Outcome::Success(words) => written(writeln!(io::stdout(), "{name}: {words}"))?,
        Outcome::Failure(reason) if args.json => eprintln!("gunmetal: {name}: {reason}"),
        Outcome::Failure(reason) => written(writeln!(io::stdout(), "{name}: ERROR ({reason})"))?,
    }
    Ok(matches!(outcome, Outcome::Success(_)))
}

/// How often the status is looked at meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
