//! A service with companions, and what tests ask of their manager.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use libc::SIGTERM;
use serde_json::{Value, json};

use super::http::HttpService;
use super::{PATIENCE, Service};

/// A service that reads `gunmetal.toml` in a directory of its own, and has its control socket there.
pub struct Crew {
    pub http: HttpService,
}

/// What every configuration begins with. Companions count as running at once, and are quick to come back.
pub const HEAD: &str = "bind = \"127.0.0.1:0\"\nworkers = 1\ncompanion_control_socket = \"control.sock\"\n\
                        companion_startsecs = 0\ncompanion_restart_delay = 0.05\n";

impl Crew {
    /// Starts an example with [`HEAD`] and `settings`.
    pub fn start(example: &str, settings: &str) -> Crew {
        Crew::start_as_written(example, &format!("{HEAD}{settings}"), &[])
    }

    /// Starts an example with nothing but `settings`, which bind a port.
    pub fn start_as_written(example: &str, settings: &str, environment: &[(&str, &str)]) -> Crew {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("gunmetal.toml"), settings).unwrap();
        Crew::of(HttpService::of(Service::start_in(directory, example, &[], environment)))
    }

    /// A service that listens for commands at `control.sock`.
    pub fn of(http: HttpService) -> Crew {
        let crew = Crew { http };
        crew.connect();
        crew
    }

    pub fn service(&self) -> &Service {
        &self.http.service
    }

    /// Writes [`HEAD`] and `settings` into the configuration file, which nobody reads by itself.
    pub fn configure(&self, settings: &str) {
        self.write("gunmetal.toml", &format!("{HEAD}{settings}"));
    }

    /// Writes a file in the service's directory.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.service().file(name), text).unwrap();
    }

    /// Says a line to the manager, and returns what it answers.
    pub fn ask(&self, request: &Value) -> Value {
        let mut socket = self.connect();
        writeln!(socket, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{request}: {line:?} is no JSON: {error}"))
    }

    /// How all companions are, in the order of the configuration.
    pub fn statuses(&self) -> Vec<Value> {
        let answer = self.ask(&json!({"cmd": "status"}));
        assert_eq!(answer["ok"], true, "{answer}");
        answer["companions"].as_array().unwrap().clone()
    }

    /// How a companion is, which must be there.
    pub fn status(&self, name: &str) -> Value {
        let answer = self.ask(&json!({"cmd": "status", "name": name}));
        assert_eq!(answer["ok"], true, "{answer}");
        answer["companions"][0].clone()
    }

    /// Waits until a companion's status is as wished, and returns it.
    pub fn has(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{name}: {what}");
        let mut last = Value::Null;
        self.service().wait_for(&what, || {
            let status = self.status(name);
            if is_so(&status) {
                return Some(status);
            }
            if status != last {
                // What a test that waits in vain has seen.
                eprintln!("waiting for {what}: {status}");
                last = status;
            }
            None
        })
    }

    /// Waits until a companion is in this state.
    pub fn reaches(&self, name: &str, state: &str) -> Value {
        self.has(name, state, |status| status["state"] == state)
    }

    /// Waits until a companion runs, and returns its pid.
    pub fn runs(&self, name: &str) -> u32 {
        pid(&self.reaches(name, "RUNNING"))
    }

    /// Waits until a companion runs in another process than `before`, and returns the pid of that.
    pub fn runs_anew(&self, name: &str, before: u32) -> u32 {
        let is_new = |status: &Value| status["state"] == "RUNNING" && pid(status) != before;
        pid(&self.has(name, "a new process", is_new))
    }

    /// Waits until a process has been reaped.
    pub fn is_gone(&self, pid: u32) {
        let path = format!("/proc/{pid}");
        self.service().wait_for("the end of a process", || (!Path::new(&path).exists()).then_some(()));
    }

    /// Gives a command, which must be obeyed, and returns what the manager says to it.
    pub fn order(&self, command: &str, name: &str) -> String {
        let answer = self.ask(&json!({"cmd": command, "name": name}));
        assert_eq!(answer["ok"], true, "{command} {name}: {answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    /// Has the manager read the configuration again, which must succeed. Returns the names of those that were added, removed
    /// and restarted, and of those that were not.
    pub fn reread(&self) -> [Vec<String>; 4] {
        let answer = self.ask(&json!({"cmd": "reread"}));
        assert_eq!(answer["ok"], true, "{answer}");
        let names = |list: &str| {
            let names = answer[list].as_array().unwrap().iter();
            names.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        ["added", "removed", "restarted", "unchanged"].map(names)
    }

    /// The same, which must fail. Returns why.
    pub fn reread_fails(&self) -> String {
        let answer = self.ask(&json!({"cmd": "reread"}));
        assert_eq!((&answer["ok"], &answer["kept_old_config"]), (&json!(false), &json!(true)), "{answer}");
        answer["error"].as_str().unwrap().to_owned()
    }

    /// Waits until this many lines of the log have this part, and returns them. The log comes later than what it tells of.
    pub fn logs(&self, part: &str, count: usize) -> Vec<String> {
        self.service().wait_for(part, || {
            let lines = self.service().lines().into_iter();
            Some(lines.filter(|line| line.contains(part)).collect())
                .filter(|found: &Vec<String>| found.len() >= count)
        })
    }

    /// The lines of a file in the service's directory.
    pub fn lines(&self, file: &str) -> Vec<String> {
        super::master::lines(&self.service().file(file))
    }

    /// Waits for a line in a file of the service's directory.
    pub fn says(&self, file: &str, line: &str) {
        let what = format!("{line:?} in {file}");
        self.service().wait_for(&what, || self.lines(file).iter().any(|found| found == line).then_some(()));
    }

    /// Has the service end, which must leave no process and nothing but its configuration and `left`.
    pub fn ends(self, left: &[&str]) {
        self.http.ends(SIGTERM, &[&["gunmetal.toml"], left].concat());
    }

    fn connect(&self) -> UnixStream {
        let path = self.service().file("control.sock");
        let socket = self.service().wait_for("the control socket", || UnixStream::connect(&path).ok());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

/// The process in a status.
pub fn pid(status: &Value) -> u32 {
    let pid = status["pid"].as_u64().unwrap_or_else(|| panic!("no process: {status}"));
    u32::try_from(pid).unwrap()
}

/// A companion that executes a command, with these other lines in its table.
pub fn executes(name: &str, command: &[&str], rest: &str) -> String {
    // A list of strings is the same in both notations.
    let command = json!(command);
    format!("\n[[companion_workers]]\nname = \"{name}\"\ncommand = {command}\n{rest}\n")
}

/// A companion that does nothing until a signal ends it.
pub fn sleeps(name: &str, rest: &str) -> String {
    executes(name, &["sleep", "1000"], rest)
}

/// A companion that runs this text in a shell. Whatever is to last must be `exec`ed: only the shell is told to end.
pub fn shell(name: &str, script: &str, rest: &str) -> String {
    executes(name, &["sh", "-c", script], rest)
}

/// A companion that runs a function of the companion probe.
pub fn calls(name: &str, function: &str, rest: &str) -> String {
    format!("\n[[companion_workers]]\nname = \"{name}\"\ntarget = \"probe:{function}\"\n{rest}\n")
}

/// Says `NAME is here` in the file `NAME` once it ignores SIGTERM, and lasts until SIGKILL.
pub fn stubborn(name: &str, rest: &str) -> String {
    let script = format!("trap '' TERM; echo {name} is here >> {name}; exec sleep 1000");
    shell(name, &script, rest)
}
