//! The client that the gunicorn package ships, in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gunmetal_benches::python;

/// What the client is to do; the words are `stock.py`'s.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Echo calls of 64 bytes.
    Call,
    /// One stream of chunks of 16 bytes.
    Stream,
    /// `stash.get` of 100 bytes.
    StashGet,
    /// `stash.put` of 100 bytes.
    StashPut,
}

/// Does `task` `count` times in all from `processes` processes of one connection each; how long that took.
pub(crate) fn run(socket: &Path, task: Task, processes: usize, count: usize) -> Result<Duration> {
    let word = match task {
        Task::Call => "call",
        Task::Stream => "stream",
        Task::StashGet => "stash-get",
        Task::StashPut => "stash-put",
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("gunicorn/stock.py");
    let output = Command::new(python()?)
        .arg(script)
        .arg(socket)
        .args([word, &processes.to_string(), &count.to_string()])
        .output()
        .context("starting the stock client")?;
    ensure!(output.status.success(), "the stock client failed: {}", String::from_utf8_lossy(&output.stderr));
    let seconds: f64 =
        String::from_utf8_lossy(&output.stdout).trim().parse().context("the stock client's answer")?;
    Ok(Duration::from_secs_f64(seconds))
}
