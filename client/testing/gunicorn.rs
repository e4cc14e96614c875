//! gunicorn's own dirty arbiter, of the pinned package, as the peer of a test. Both clients' tests include
//! this file.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]
#![allow(clippy::unwrap_used, reason = "this is a test")]

#[path = "../../tests/support/python.rs"]
mod python;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use gunmetal_protocol::{Args, Bytes, FrameReader, MessageType, Segments, Value, encode_request, value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The probe app.
pub const APP: &str = "bench_app:BenchApp";
/// The app in `odd_app.py`.
pub const ODD: &str = "odd_app:OddApp";

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// gunicorn's arbiter with its workers, in a directory and a process group of its own.
pub struct Gunicorn {
    process: Child,
    directory: TempDir,
}

impl Gunicorn {
    /// Starts it with `flags` of `arbiter.py`, hosting the two apps, and waits until its workers serve.
    pub fn start(flags: &[&str]) -> Gunicorn {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("dirty.sock");
        let mut command = python::gunicorn_arbiter(&socket, flags);
        command.args(["--app", APP, "--app", ODD]);
        command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("../testing"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.stderr(Stdio::null());
        let mut gunicorn = Gunicorn { process: command.spawn().unwrap(), directory };
        // It gives calls in turn to all its workers, ready or not, and those of the others fail.
        eventually("gunicorn's workers", || {
            assert_eq!(gunicorn.process.try_wait().unwrap(), None, "gunicorn's arbiter has ended");
            (0..4).all(|_| gunicorn.serves().is_some()).then_some(())
        });
        gunicorn
    }

    /// Makes a call.
    fn serves(&self) -> Option<()> {
        let mut socket = UnixStream::connect(self.socket()).ok()?;
        let mut request = Segments::new();
        encode_request(1, APP, "noop", &Args::new(), &mut request).unwrap();
        socket.write_all(&request.into_contiguous()).ok()?;
        let frame = FrameReader::new(socket).next_frame().ok()??;
        (frame.header.message_type == MessageType::Response).then_some(())
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("dirty.sock")
    }

    pub fn pid(&self) -> i64 {
        self.process.id().into()
    }
}

impl Drop for Gunicorn {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.process.id().try_into().unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

/// Values of every kind, at the limits of each.
pub fn values() -> Vec<Value> {
    let mut values = vec![
        Value::None,
        true.into(),
        false.into(),
        0.into(),
        (-1).into(),
        i64::MIN.into(),
        i64::MAX.into(),
        0.0.into(),
        1.5.into(),
        f64::MAX.into(),
        f64::MIN_POSITIVE.into(),
        f64::from_bits(1).into(),
        f64::INFINITY.into(),
        f64::NEG_INFINITY.into(),
        Value::from(b""),
        Value::from(b"\x00\xff"),
        Value::from(Bytes::from(vec![7; 1 << 20])),
        "".into(),
        "nul \0, umlaut ü, astral 🦀, combining e\u{301}".into(),
        "long ".repeat(100_000).into(),
        value!([]),
        value!({}),
        value!([1, [2.5, [null, [true, {"k": [b"v"]}]]]]),
        value!({"": 0, "ü": {"nested": {"deeper": []}}}),
        Value::List((0..10_000).collect()),
    ];
    values.push((0..100).fold(Value::None, |inner, _| value!([{ "inner": inner }])));
    values
}

/// Tries again until there is a result.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < give_up, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
