//! A companion manager that says what a test wants it to say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// It answers one connection after the other, in a thread.
pub(crate) struct Manager {
    pub(crate) directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    kept: Option<tempfile::TempDir>,
}

impl Manager {
    /// A manager whose answer to each request is what `answer` makes of it. One that does not end with its line ends the
    /// connection.
    pub(crate) fn new(answer: impl FnMut(&Value) -> String + Send + 'static) -> Manager {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("gunmetal-companion.sock")).unwrap();
        let (asked, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop) = (Arc::clone(&asked), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || serve(&listener, answer, &log, &stop));
        Manager { directory, asked, is_over, thread: Some(thread), kept: None }
    }

    /// A manager with these companions, whose status is the next of these each time, and then the last. Commands are
    /// answered by `answer`, in which they are `start a`.
    pub(crate) fn with(
        statuses: impl IntoIterator<Item = Vec<Value>>,
        mut answer: impl FnMut(&str) -> Value + Send + 'static,
    ) -> Manager {
        let mut statuses = statuses.into_iter().collect::<Vec<_>>().into_iter().peekable();
        let mut last = Vec::new();
        Manager::new(move |request| {
            let cmd = request["cmd"].as_str().unwrap();
            let answer = match (cmd, request.get("name")) {
                ("status", _) => {
                    last = statuses.next().unwrap_or_else(|| last.clone());
                    json!({ "ok": true, "companions": last })
                }
                (cmd, Some(name)) => answer(&format!("{cmd} {}", name.as_str().unwrap())),
                (cmd, None) => answer(cmd),
            };
            format!("{answer}\n")
        })
    }

    /// Keeps a directory for as long as the manager is there.
    pub(crate) fn keep(&mut self, directory: tempfile::TempDir) {
        self.kept = Some(directory);
    }

    /// The requests so far, as `stop a`, `status`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("gunmetal-companion.sock")
    }

    /// The tool in the manager's directory, without any variables of ours.
    pub(crate) fn tool(&self, args: &[&str]) -> Command {
        tool(self.directory.path(), args)
    }

    /// What the tool says, with its exit code: standard output, then standard error.
    pub(crate) fn say(&self, args: &[&str]) -> (i32, String, String) {
        said(self.tool(args).output().unwrap())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.socket());
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

/// A process of the test, which does not outlive it.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long a condition may take to come true before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The tool in `directory`.
pub(crate) fn tool(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gunmetal"));
    command.arg("companion").args(args).current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GUNMETAL_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A companion in a status.
pub(crate) fn companion(name: &str, state: &str, description: &str) -> Value {
    let pid = ["RUNNING", "STARTING", "STOPPING"].contains(&state).then_some(1234);
    json!({ "name": name, "state": state, "pid": pid, "description": description })
}

pub(crate) fn ok(message: &str) -> Value {
    json!({ "ok": true, "message": message })
}

pub(crate) fn refused(error: &str) -> Value {
    json!({ "ok": false, "error": error })
}

fn serve(
    listener: &UnixListener,
    mut answer: impl FnMut(&Value) -> String,
    asked: &Mutex<Vec<String>>,
    is_over: &AtomicBool,
) {
    while let Ok((stream, _)) = listener.accept() {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let request: Value = serde_json::from_str(&line).unwrap();
            let words = [&request["cmd"], &request["name"]].map(|word| word.as_str().unwrap_or_default());
            asked.lock().unwrap().push(words.join(" ").trim().to_owned());
            let answer = answer(&request);
            // The tool may have gone; a line without an end is the last one.
            if writer.write_all(answer.as_bytes()).is_err() || !answer.ends_with('\n') {
                break;
            }
        }
    }
}
