//! The tool `gunmetal`: asks a running service from a terminal.

mod tool;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gunmetal::client::CallError;

use tool::dirty::Question;
use tool::output::OutputClosed;

/// Asks a running dirty arbiter, ours or gunicorn's.
#[derive(Parser)]
#[command(name = "gunmetal", version)]
struct Cli {
    /// Where the dirty arbiter listens [default: GUNMETAL_DIRTY_SOCKET, then GUNICORN_DIRTY_SOCKET]
    #[arg(long, short, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    question: Question,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.question.ask(cli.socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gunmetal: {error:#}");
            // One line would be the message again.
            if let Some(CallError::App { traceback: Some(traceback), .. }) = error.downcast_ref()
                && traceback.trim().lines().count() > 1
            {
                eprintln!("{traceback}");
            }
            ExitCode::FAILURE
        }
    }
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
