//! gunicorn's own clients, in Python, against the probe, and the same tests against gunicorn's own arbiter.
//!
//! The tests are in `tests/gunicorn/test_*.py`. A case marked `differs` there shows a known difference: our arbiter passes
//! it and gunicorn's does not. Everything else passes with both, so a Python service can't tell them apart by it.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use support::{Service, example_binary, python};

/// The apps of the shared arbiter.
const APPS: [&str; 4] =
    ["bench_app:BenchApp", "bench_app:LimitedApp:1", "bench_app:AttrLimitedApp", "bench_app:StashDeclApp"];

/// Whose arbiter the clients call.
#[derive(Clone, Copy, PartialEq)]
enum Arbiter {
    Gunmetal,
    Gunicorn,
}

macro_rules! each_file {
    ($($file:ident),* $(,)?) => {
        mod of_gunmetal {
            $(#[test] fn $file() { super::run(super::Arbiter::Gunmetal, stringify!($file)); })*
        }
        mod of_gunicorn {
            $(#[test] fn $file() { super::run(super::Arbiter::Gunicorn, stringify!($file)); })*
        }
        const FILES: &[&str] = &[$(stringify!($file)),*];
    };
}

each_file!(
    test_allocation,
    test_async,
    test_calls,
    test_errors,
    test_reference,
    test_stash,
    test_stash_clients,
    test_stash_tables,
    test_status,
    test_streams,
    test_types,
);

#[test]
fn no_file_of_tests_is_forgotten() {
    let found = fs::read_dir(python::scripts())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = found
        .filter_map(|name| Some(name.strip_suffix(".py")?.to_owned()))
        .filter(|name| name.starts_with("test_"))
        .collect();
    found.sort();
    assert_eq!(found, FILES);
}

/// Runs the tests of one Python file with an arbiter of their own, and checks that all of them ran.
fn run(arbiter: Arbiter, file: &str) {
    let service = start(arbiter);
    let mut command = python::python_command();
    command.arg(python::scripts().join("run.py")).arg(file);
    command.env("ARBITER", arbiter.name()).env("PROBE", example_binary("probe"));
    command.env("GUNICORN_DIRTY_SOCKET", service.socket());
    // Files, not pipes: what a test left running would hold a pipe open.
    let directory = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (directory.path().join("stdout"), directory.path().join("stderr"));
    command
        .stdout(File::create(&stdout).unwrap())
        .stderr(File::create(&stderr).unwrap())
        .stdin(Stdio::null());
    // Arbiters that tests start are in the group, and end with it.
    let mut child = command.process_group(0).spawn().unwrap();
    let group = Group(child.id());
    let status = child.wait().unwrap();
    drop(group);

    let (stdout, stderr) = (fs::read_to_string(stdout).unwrap(), fs::read_to_string(stderr).unwrap());
    assert!(status.success(), "{file} of {}: {status}\n{stdout}\n{stderr}", arbiter.name());
    let summary = stdout.lines().last().unwrap_or_default();
    let numbers: Vec<usize> =
        summary.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let &[ran, left_out, skipped] = numbers.as_slice() else { panic!("no summary in:\n{stdout}") };
    let source = fs::read_to_string(python::scripts().join(file).with_extension("py")).unwrap();
    let written = source
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("def test_") || line.starts_with("async def test_"));
    assert_eq!((ran + left_out, skipped), (written.count(), 0), "{stdout}");
    assert!(arbiter == Arbiter::Gunicorn || left_out == 0, "{stdout}");
    println!("{stdout}");
}

/// The arbiter that the tests of a file share: three workers, all the probe's apps.
fn start(arbiter: Arbiter) -> Service {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dirty.sock");
    let (mut command, prefix) = match arbiter {
        Arbiter::Gunicorn => (python::gunicorn_arbiter(&socket, &[]), "--"),
        Arbiter::Gunmetal => {
            let mut command = Command::new(example_binary("probe"));
            command.args(["--dirty-only", "--dirty-socket"]).arg(&socket).env("TMPDIR", directory.path());
            (command, "--dirty-")
        }
    };
    for (name, value) in [("workers", "3"), ("timeout", "120"), ("graceful-timeout", "5")] {
        command.arg(format!("{prefix}{name}")).arg(value);
    }
    for app in APPS {
        command.arg(format!("{prefix}app")).arg(app);
    }
    command.stderr(Stdio::piped());
    let service = Service::of(command, directory);
    service.wait_for("the arbiter's socket", || UnixStream::connect(service.socket()).ok());
    let workers = match arbiter {
        Arbiter::Gunmetal => "dirty worker",
        Arbiter::Gunicorn => "arbiter.py",
    };
    service.wait_for("three workers", || (service.processes(workers).len() >= 3).then_some(()));
    service
}

impl Arbiter {
    fn name(self) -> &'static str {
        match self {
            Arbiter::Gunmetal => "gunmetal",
            Arbiter::Gunicorn => "gunicorn",
        }
    }
}

/// A process group that ends with the test.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.0).unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
}
