//! What only real processes can show: forks, signals, titles, descriptors, parents that die.
//!
//! Forking needs a process with one thread, which the usual harness is not. So this is a harness of its own: each
//! case runs in a fresh process, made by executing this program again, and fails if it leaves a child behind.

// clippy knows tests by their harness.
#![allow(clippy::unwrap_used)]

mod adoption;
mod cases;
mod descriptors;
mod driver;
mod environment;
mod forking;
mod launching;
mod ledgers;
mod parents;
mod signals;
mod titles;

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A case, and its claim.
type Case = (&'static str, fn());

const MODULES: &[&[Case]] = &[
    forking::CASES,
    signals::CASES,
    descriptors::CASES,
    titles::CASES,
    parents::CASES,
    adoption::CASES,
    environment::CASES,
    launching::CASES,
    ledgers::CASES,
    driver::CASES,
];

/// Runs a case in this process, or with `PROGRAM` one of the programs that cases execute.
const CASE: &str = "GUNMETAL_TEST_CASE";

/// Longer than any case takes on the slowest machine; then it hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let cases = || MODULES.iter().copied().flatten();
    if let Ok(name) = env::var(CASE) {
        let programs = [titles::PROGRAMS, forking::PROGRAMS, signals::PROGRAMS].into_iter().flatten();
        let Some((_, run)) = cases().chain(programs).find(|(case, _)| *case == name) else {
            eprintln!("no case {name}");
            return ExitCode::from(2);
        };
        run();
        assert_no_child_is_left();
        return ExitCode::SUCCESS;
    }

    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Those that cargo and nextest pass with a value of their own.
    let with_value = ["--format", "--test-threads", "--color", "--skip"];
    let is_value = |index: usize| index > 0 && with_value.contains(&arguments[index - 1].as_str());
    let is_filter = |index: usize| !arguments[index].starts_with('-') && !is_value(index);
    let filters: Vec<&String> =
        (0..arguments.len()).filter(|i| is_filter(*i)).map(|i| &arguments[i]).collect();
    let is_wanted = |name: &str| {
        let matches =
            |filter: &&String| if has("--exact") { *filter == name } else { name.contains(filter.as_str()) };
        !has("--ignored") && (filters.is_empty() || filters.iter().any(matches))
    };
    let wanted: Vec<&Case> = cases().filter(|(name, _)| is_wanted(name)).collect();
    if has("--list") {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run_all(&wanted, cases().count())
}

fn run_all(wanted: &[&Case], all: usize) -> ExitCode {
    println!("\nrunning {} tests", wanted.len());
    let start = Instant::now();
    let mut failures = Vec::new();
    for (name, _) in wanted {
        print!("test {name} ... ");
        let _ = io::stdout().flush();
        match run_case(name) {
            Ok(()) => println!("ok"),
            Err(output) => {
                println!("FAILED");
                failures.push((name, output));
            }
        }
    }
    for (name, output) in &failures {
        println!("\n---- {name} ----\n{output}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        wanted.len() - failures.len(),
        failures.len(),
        all - wanted.len(),
        start.elapsed().as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case in a process group of its own, of which nobody survives.
fn run_case(name: &str) -> Result<(), String> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(CASE, name).process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut stderr = child.stderr.take().unwrap();
    let (done, finished) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        let is_late = finished.recv_timeout(TIME_LIMIT).is_err();
        let _ = killpg(group, Signal::SIGKILL);
        is_late
    });
    // Reaped after the watchdog is done with the group, so that its id means nobody else meanwhile.
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(group), look) == Err(Errno::EINTR) {}
    let _ = done.send(());
    let is_late = watchdog.join().unwrap();
    let status = child.wait().unwrap();
    let mut output = String::new();
    let _ = stderr.read_to_string(&mut output);
    match (status.success(), is_late) {
        (true, _) => Ok(()),
        (false, true) => Err(format!("{output}\nhung for {TIME_LIMIT:?}")),
        (false, false) => Err(format!("{output}\n{status}")),
    }
}

fn assert_no_child_is_left() {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let left = waitid(Id::All, look);
    if left != Err(Errno::ECHILD) {
        eprintln!("a child is left behind: {left:?}");
        process::exit(1);
    }
}
