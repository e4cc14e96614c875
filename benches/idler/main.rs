//! The process of the bench `companions`: it reads what is loaded, tells the bench, and waits for its end. It is a companion
//! of our master or, with `alone` as the only argument, a program that another supervisor starts.
//!
//! `BENCH_SIGNS` is the datagram socket where the bench listens.

#![forbid(unsafe_code)]

use std::env;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use gunmetal::{Companion, Server};
use gunmetal_benches::Ballast;

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("alone") {
        return alone();
    }
    Server::new()
        .preload(|| anyhow::Ok(Ballast::load()))
        .preload_app(true)
        .companion("bench:idler", idle)
        .run()
}

fn idle(companion: Companion) -> Result<()> {
    let ballast = gunmetal::preloaded::<Ballast>().context("nothing is preloaded")?;
    show(companion.name(), &ballast)?;
    while !companion.wait_for_shutdown(A_WHILE) {}
    Ok(())
}

/// SIGTERM ends it.
fn alone() -> ExitCode {
    let ballast = Ballast::load();
    let shown = env::var("SUPERVISOR_PROCESS_NAME").context("supervisord tells a process its name");
    if let Err(error) = shown.and_then(|name| show(&name, &ballast)) {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    loop {
        thread::sleep(A_WHILE);
    }
}

/// Tells the bench: this process, under this name, has read so much.
fn show(name: &str, ballast: &Ballast) -> Result<()> {
    let signs = env::var_os("BENCH_SIGNS").context("BENCH_SIGNS says where the bench listens")?;
    let sign = format!("{name} {} {}", std::process::id(), ballast.sum());
    UnixDatagram::unbound()?.send_to(sign.as_bytes(), signs).context("telling the bench")?;
    Ok(())
}

const A_WHILE: Duration = Duration::from_secs(3600);
