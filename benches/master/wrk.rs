//! `wrk`, the HTTP load generator, as the system has it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Answers per second.
    pub(crate) rate: f64,
}

/// Full load on the greeting from `connections` that are kept alive where the server lets them, for whole seconds.
///
/// # Errors
///
/// `wrk` is not installed, or an answer was none or not good.
pub(crate) fn run(port: u16, connections: usize, period: Duration) -> Result<Load> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", period.as_secs())])
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context(MISSING)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    // It prints these lines only if there is something to say.
    let complaint = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
    ensure!(complaint.is_none(), "{}", complaint.unwrap_or_default().trim());
    let answered = text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    let (Some(answered), Some(rate)) = (answered, rate) else { bail!("wrk said no count and rate: {text}") };
    Ok(Load { answered, rate })
}

/// `wrk 4.1.0`, or as the distribution calls its build.
pub(crate) fn version() -> Result<String> {
    // It prints its version, then its usage, and exits with 1.
    let output = Command::new("wrk").arg("--version").output().context(MISSING)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(1).unwrap_or("of unknown version");
    Ok(format!("wrk {version}"))
}

const MISSING: &str = "wrk cannot be started: install it (Debian: apt-get install wrk)";
