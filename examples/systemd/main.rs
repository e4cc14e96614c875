//! A service for systemd, whose unit files are beside this file: `GREETING=greeting.txt cargo run --example systemd`, then
//! `curl http://127.0.0.1:8000/`.
//!
//! Each worker reads its greeting before it is ready, so `systemctl reload` takes on another one; without the file the reload
//! fails, and the workers that serve go on.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::Context;
use axum::{Router, routing::get};
use gunmetal::{HttpWorker, Server};

async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let greeting = greeting()?;
    let app = Router::new().route("/", get(async move || greeting)).route("/environment", get(environment));
    Ok(worker.serve(app).await?)
}

/// The first line of the file that `GREETING` names.
fn greeting() -> anyhow::Result<String> {
    let Some(path) = std::env::var_os("GREETING") else { return Ok("Hello from systemd!\n".to_owned()) };
    let named = || format!("the greeting {}", path.display());
    let mut line = String::new();
    BufReader::new(File::open(&path).with_context(named)?).read_line(&mut line).with_context(named)?;
    Ok(line)
}

/// Which of systemd's variables a worker sees: none, they are the master's.
async fn environment() -> String {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_systemds =
        |name: &String| ["NOTIFY_", "WATCHDOG_", "LISTEN_"].iter().any(|own| name.starts_with(own));
    names.filter(is_systemds).collect::<Vec<_>>().join(" ")
}

fn main() -> std::process::ExitCode {
    Server::new().http_async(serve).run()
}
