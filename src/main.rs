//! The tool `gunmetal`: asks a running service from a terminal.

mod text_file;
mod tool;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gunmetal::client::CallError;

use tool::companion::CompanionTool;
use tool::dirty::Question;
use tool::output::OutputClosed;

/// Asks a running service: its dirty arbiter, ours or gunicorn's, or its companion manager.
#[derive(Parser)]
#[command(name = "gunmetal", version)]
struct Cli {
    /// Where the dirty arbiter listens [default: GUNMETAL_DIRTY_SOCKET, then GUNICORN_DIRTY_SOCKET]
    #[arg(long, short, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Dirty(Question),
    /// Show, start and stop companions, and read what they write
    Companion(CompanionTool),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Dirty(question) => question.ask(cli.socket).map(|()| ExitCode::SUCCESS),
        Command::Companion(tool) => return tool.run(),
    };
    result.unwrap_or_else(|error| {
        if error.is::<OutputClosed>() {
            return ExitCode::SUCCESS;
        }
        eprintln!("gunmetal: {error:#}");
        // One line would be the message again.
        if let Some(CallError::App { traceback: Some(traceback), .. }) = error.downcast_ref()
            && traceback.trim().lines().count() > 1
        {
            eprintln!("{traceback}");
        }
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
