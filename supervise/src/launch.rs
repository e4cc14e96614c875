//! Starting a process whose work is not ours: a function of the program, or another program.
//!
//! ```text
//! fork ─▶ in the ledger ─▶ role: signals, descriptors, user ─▶ cwd, env, streams ─▶ "ready", function
//!                                                          │                    └▶ exec
//!                                                          └▶ "failed: …", exit
//! ```

mod execute;
mod output;
mod surroundings;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use execute::execute;
pub use output::Output;

use crate::{Child, ChildSetup, Ledger, Newborn, ReadyReader, ReadyWriter, readiness_pipe, spawn_child};

/// A process to be started, and what it finds around it.
///
/// It has the standard streams and no other descriptor, a process group of its own, no blocked signal and no ignored one;
/// a function alone goes on to ignore SIGPIPE, as Rust programs do. Its standard input is empty. Priority, limits and
/// file mode mask are the parent's.
pub struct Launch<'a> {
    /// Its title, the user that it runs as, and what it gets when its parent dies. (A program that is executed with more
    /// rights than its caller's, by set-user-id or capabilities, gets nothing: the kernel sees to that.)
    pub setup: ChildSetup,
    /// Where it enters itself, at which slot, under which name.
    pub ledger: (&'a Ledger, usize, &'a str),
    /// How long it may take to end, for whoever takes it over.
    pub patience: Duration,
    /// Its working directory; `None` is the parent's.
    pub cwd: Option<&'a Path>,
    /// Variables that are added to the parent's environment.
    pub env: &'a BTreeMap<String, String>,
    /// Where its standard output goes.
    pub stdout: Output<'a>,
    /// Where its standard error goes.
    pub stderr: Output<'a>,
    /// What it does.
    pub work: Work<'a>,
}

/// What a process does.
#[derive(Clone, Copy)]
pub enum Work<'a> {
    /// It calls this function, and exits with the code that it returns.
    Call(&'a dyn Fn() -> i32),
    /// It executes a program with arguments, at least the one. A name without a slash is looked for along the process's
    /// `PATH`, a relative one with a slash from its working directory.
    Execute(&'a [String]),
}

/// A process that was started.
#[derive(Debug)]
pub struct Launched {
    /// The process.
    pub child: Child,
    /// What it says: [`Ready`](crate::Readiness::Ready) when it calls its function, or
    /// [`Failed`](crate::Readiness::Failed) and one sentence that names what it could not have, with exit code 125, or 127
    /// if the program is not there, or 126 if that cannot be executed. A program that is being executed says nothing:
    /// that is [`Died`](crate::Readiness::Died) of a process that may well live.
    pub words: ReadyReader,
}

impl Launch<'_> {
    /// Forks it.
    ///
    /// # Errors
    ///
    /// There is no process: what `pipe2(2)` refused, or the [`ForkError`](crate::ForkError).
    pub fn start(self) -> io::Result<Launched> {
        let (words, writer) = readiness_pipe()?;
        let child = spawn_child(move |newborn| self.run(newborn, writer)).map_err(io::Error::other)?;
        Ok(Launched { child, words })
    }

    /// In the new process. Returns its exit code.
    fn run(self, newborn: Newborn, words: ReadyWriter) -> i32 {
        let work = self.work;
        if let Err(reason) = self.prepare(newborn, &words) {
            // Tells the parent; if there is none any more, nobody needs to know.
            let _ = words.failed(&reason);
            return NOT_PREPARED;
        }
        match work {
            Work::Call(function) => {
                let _ = words.ready();
                function()
            }
            Work::Execute(command) => {
                let refusal = execute(command);
                let _ = words.failed(&refusal.reason);
                refusal.exit_code
            }
        }
    }

    /// Everything before the work. The text says what could not be had, and why.
    fn prepare(self, newborn: Newborn, words: &ReadyWriter) -> Result<(), String> {
        let (ledger, slot, name) = self.ledger;
        ledger
            .note_this_process(slot, name, self.patience)
            .map_err(|error| format!("no entry in the ledger: {error}"))?;
        // The handle on the parent is closed: the kernel tells of its death.
        drop(newborn.become_child(self.setup.keep(words).own_group()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })?);
        // As whom it runs from now on: so nothing is reached on behalf of a user who could not reach it.
        if let Some(cwd) = self.cwd {
            surroundings::change_dir(cwd)?;
        }
        surroundings::add_variables(self.env)?;
        surroundings::empty_stdin()?;
        output::redirect(self.stdout, self.stderr)
    }
}

/// The exit code of a process that could not be given what it needs: what `env(1)` and its kin exit with if they fail
/// themselves, before the program that they are to execute.
const NOT_PREPARED: i32 = 125;
