//! The companion probe: functions that end in every way in which a companion can, for tests.
//!
//! ```text
//! cargo run --example companion_probe -- --config FILE
//! ```
//!
//! Without a configuration of companions all of them run, most of them again and again.

use std::env;
use std::fs;
use std::io;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use axum::{Router, routing::get};
use gunmetal::{Companion, HttpWorker, Server, preloaded};

/// What every process of the service needs: the process that has loaded it.
struct Loaded {
    by: u32,
}

/// Fails if `LOAD` says so.
fn load() -> Result<Loaded, String> {
    match env::var("LOAD").as_deref() {
        Ok("fails") => Err("asked to fail".into()),
        _ => Ok(Loaded { by: process::id() }),
    }
}

async fn serve(worker: HttpWorker) -> io::Result<()> {
    worker.serve(Router::new().route("/pid", get(async || process::id().to_string()))).await
}

/// Waits for the wish that it ends, and says goodbye.
fn polite(companion: Companion) {
    // The first question makes it listen.
    let _ = companion.shutdown_requested();
    println!("{} is here", companion.name());
    while !companion.wait_for_shutdown(Duration::from_secs(3600)) {}
    println!("{} says goodbye", companion.name());
}

async fn polite_async(companion: Companion) {
    let wish = companion.shutdown();
    println!("{} is here", companion.name());
    wish.await;
    println!("{} says goodbye", companion.name());
}

/// Never asks whether it is to end.
fn deaf(companion: Companion) {
    println!(
        "{} is here, thanks to {}",
        companion.name(),
        preloaded::<Loaded>().map_or(0, |loaded| loaded.by)
    );
    forever()
}

/// Hears that it is to end, and does not.
fn stubborn(companion: Companion) {
    let _ = companion.shutdown_requested();
    println!("{} is here", companion.name());
    while !companion.wait_for_shutdown(Duration::from_secs(3600)) {}
    println!("{} stays", companion.name());
    forever()
}

fn failing(_: Companion) -> Result<(), String> {
    Err("no such queue".into())
}

fn panicking(_: Companion) {
    panic!("asked to panic")
}

/// Ends its process itself, with the exit code that `CODE` says.
fn exiting(_: Companion) {
    let code = env::var("CODE").ok().and_then(|code| code.parse().ok());
    process::exit(code.unwrap_or(0))
}

/// Takes 64 MiB of memory.
fn large(companion: Companion) {
    let memory = vec![1_u8; 64 << 20];
    println!("{} has {} bytes", companion.name(), memory.len());
    forever()
}

/// Says what it finds around it, one thing a line.
fn looking(_: Companion) -> io::Result<()> {
    println!("cwd {}", env::current_dir()?.display());
    for (name, value) in env::vars() {
        println!("env {name}={value}");
    }
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let open = fs::read_link(&path)?.display().to_string();
        // The directory that is being read is one, too.
        if !open.starts_with("/proc/") {
            println!("fd {} {open}", path.file_name().unwrap_or_default().display());
        }
    }
    println!("that is all");
    eprintln!("nothing to complain of");
    forever()
}

fn forever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn main() -> ExitCode {
    Server::new()
        .preload(load)
        .http_async(serve)
        .companion("probe:polite", polite)
        .companion_async("probe:polite_async", polite_async)
        .companion("probe:deaf", deaf)
        .companion("probe:stubborn", stubborn)
        .companion("probe:done", |_| ())
        .companion("probe:failing", failing)
        .companion("probe:panicking", panicking)
        .companion("probe:exiting", exiting)
        .companion("probe:looking", looking)
        .companion("probe:large", large)
        .run()
}
