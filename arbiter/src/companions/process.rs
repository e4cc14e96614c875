//! The companion manager as a process.

use std::io;

use gunmetal_supervise::{
    ChildSetup, Parent, ReadyWriter, STARTUP_FAILED, Signals, readiness_pipe, spawn_child,
};

use super::CompanionsConfig;
use super::manager::{Birth, Manager, Task};
use crate::crew::{Member, PARENT_SIGNALS, Pulse};
use crate::report;

/// Forks a companion manager from the master. The first one goes by the configuration that it is given; one that follows
/// another reads what has become of that meanwhile.
pub(crate) fn spawn(age: u64, task: Task, config: &CompanionsConfig) -> io::Result<Member> {
    let (reader, writer) = readiness_pipe()?;
    // Both processes have a copy of these; the fork decides who uses which.
    let (mut writer, mut pulse) = (Some(writer), Some(Pulse::new(&config.processes)?));
    let child = spawn_child(|newborn| {
        let (Some(ready), Some(pulse)) = (writer.take(), pulse.take()) else { return STARTUP_FAILED };
        // SIGTERM, not SIGKILL, at the master's death: it stops the companions, each within its own time.
        let setup = ChildSetup::new(config.processes.title(ROLE))
            .keep(&ready)
            .keep(&pulse.heartbeat)
            .hold_back(PARENT_SIGNALS)
            // What is sent to the whole group is the master's to pass on.
            .own_group();
        match newborn.become_child(setup) {
            Ok(master) => run(age, task, config, master, ready, pulse),
            Err(error) => {
                // If there is no master any more, nobody needs to know.
                let _ = ready.failed(&report::chain(&error));
                STARTUP_FAILED
            }
        }
    })
    .map_err(io::Error::other)?;
    drop(writer);
    Ok(Member::new(child, age, Some(reader), pulse))
}

fn run(
    age: u64,
    task: Task,
    config: &CompanionsConfig,
    master: Parent,
    ready: ReadyWriter,
    pulse: Pulse,
) -> i32 {
    let signals = match Signals::block(PARENT_SIGNALS) {
        Ok(signals) => signals,
        Err(error) => {
            let _ = ready.failed(&format!("companion manager cannot collect signals: {error}"));
            return STARTUP_FAILED;
        }
    };
    let mut companions = config.companions.clone();
    // Of the last ones each is the first of a crew, and none the first of the service.
    if age > 1 || task == Task::EndLeftovers {
        match (config.reread)() {
            Ok(reread) => companions = reread,
            Err(reason) => {
                tracing::error!("Companions are those of the last start or reload of the service: {reason}");
            }
        }
    }
    match Manager::new(config, companions, Birth { task, signals, master, ready, heartbeat: pulse.heartbeat })
        .run()
    {
        Ok(()) => 0,
        Err(reason) => {
            tracing::error!("Companion manager ends: {reason}");
            STARTUP_FAILED
        }
    }
}

/// How companion managers are shown, behind `gunmetal: `.
const ROLE: &str = "companion manager";
