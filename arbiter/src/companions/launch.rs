//! From a configuration to a process.

use std::io;

use gunmetal_supervise::{Launch, Launched, Ledger, Output, Work};

use super::config::{CompanionConfig, CompanionOutput, CompanionTarget};
use crate::ProcessConfig;

/// Starts a companion, which enters itself in the ledger at `slot`. Its words tell why it could not begin.
pub(super) fn launch(
    config: &CompanionConfig,
    processes: &ProcessConfig,
    ledger: &Ledger,
    slot: usize,
) -> io::Result<Launched> {
    let call;
    let work = match &config.target {
        CompanionTarget::Function { body, .. } => {
            call = || body(&config.name);
            Work::Call(&call)
        }
        CompanionTarget::Command(words) => Work::Execute(words),
    };
    let role = format!("companion {}", config.name);
    let launch = Launch {
        // Once its manager is gone it cannot be watched: it is asked to end, in the way it knows.
        setup: processes.worker_setup(&role).death_signal(config.stop_signal),
        ledger: (ledger, slot, &config.name),
        patience: config.stop_timeout,
        cwd: config.cwd.as_deref(),
        env: &config.env,
        stdout: output(&config.stdout),
        stderr: output(&config.stderr),
        work,
    };
    launch.start()
}

fn output(output: &CompanionOutput) -> Output<'_> {
    match output {
        CompanionOutput::Inherit => Output::Inherit,
        CompanionOutput::Stdout => Output::Stdout,
        CompanionOutput::File(path) => Output::File(path),
    }
}
