//! What operators are answered.

use std::time::Instant;

use gunmetal_supervise::{CommandError, CommandOutcome, Companion, CompanionCommand, RereadOutcome};

use super::specs::spec;
use super::{Manager, Phase, by_name};
use crate::companions::control::{ControlWatch, Reply, Request};
use crate::companions::log;
use crate::companions::status::{Clock, status};

impl Manager<'_> {
    pub(super) fn serve(&mut self, watch: ControlWatch) {
        // Taken out meanwhile, since its clients are answered from all the rest.
        let Some(mut control) = self.control.take() else { return };
        control.news(watch, &mut |request| {
            let reply = self.answer(request);
            // So that the next request finds what this one has led to.
            self.perform();
            reply
        });
        self.control = Some(control);
    }

    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::Status { name } => self.status(name.as_deref()),
            Request::Reread if matches!(self.phase, Phase::Stopping { .. }) => {
                Reply::Refused { error: CommandError::ManagerStops.to_string() }
            }
            Request::Reread => match self.reread() {
                Ok(reply) => reply,
                Err(reason) => Reply::Kept { error: format!("invalid config: {reason}") },
            },
            Request::Start(name) => self.command(CompanionCommand::Start, &name),
            Request::Stop(name) => self.command(CompanionCommand::Stop, &name),
            Request::Restart(name) => self.command(CompanionCommand::Restart, &name),
        }
    }

    fn command(&mut self, command: CompanionCommand, name: &str) -> Reply {
        match self.machine.command(command, name, Instant::now()) {
            Ok(outcome) => Reply::Done { message: format!("{name} {}", words(&outcome)) },
            Err(error) => Reply::Refused { error: error.to_string() },
        }
    }

    fn status(&self, name: Option<&str>) -> Reply {
        let clock = Clock::read();
        let asked = |companion: &&Companion| name.is_none_or(|name| companion.name() == name);
        let companions: Vec<_> = self
            .machine
            .iter()
            .filter(asked)
            .map(|companion| {
                let config = self.companions.get(companion.name());
                status(&self.machine, companion, config, self.pid_of(companion.launch()), clock)
            })
            .collect();
        match name.filter(|_| companions.is_empty()) {
            Some(name) => Reply::Refused { error: self.machine.unknown(name).to_string() },
            None => Reply::Status(companions),
        }
    }

    /// All or nothing: the machine hears of it only if the whole configuration can be used.
    pub(super) fn reread(&mut self) -> Result<Reply, String> {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return Err(CommandError::ManagerStops.to_string());
        }
        let companions = (self.config.reread)()?;
        let outcome = self.machine.reread(companions.iter().map(spec), Instant::now());
        self.companions = by_name(companions);
        log::reread(&outcome);
        let RereadOutcome { added, removed, restarted, unchanged } = outcome;
        Ok(Reply::Reread { added, removed, restarted, unchanged })
    }
}

/// What has become of a command, behind the name of the companion.
fn words(outcome: &CommandOutcome) -> String {
    match outcome {
        CommandOutcome::Started => "started".to_owned(),
        CommandOutcome::Waiting(names) => format!("waits for {}", names.join(", ")),
        CommandOutcome::Stopping => "stopping".to_owned(),
        CommandOutcome::Stopped => "stopped".to_owned(),
        CommandOutcome::Restarting => "restarting".to_owned(),
        CommandOutcome::Already(state) => format!("already {}", state.as_str().to_lowercase()),
    }
}
