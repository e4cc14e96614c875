//! Values that only companions have.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use gunmetal_arbiter::CompanionOutput;
use gunmetal_supervise::Signal;

use super::super::raw::Raw;
use super::keys::MAX_NAME_LEN;

/// A companion's name.
pub(super) fn name(raw: &Raw) -> Result<String, String> {
    let Raw::Text(name) = raw else { return Err("not a string".into()) };
    let problem = if name.is_empty() {
        "it is empty".into()
    } else if name.len() > MAX_NAME_LEN {
        format!("it has {} bytes", name.len())
    } else if name == "all" {
        "in commands it means all companions".into()
    } else if name.starts_with('-') {
        "commands would take it for an option".into()
    } else if let Some(sign) = name.chars().find(|sign| sign.is_whitespace() || sign.is_control()) {
        format!("{sign:?} would tear it apart in lists and lines")
    } else if let Some(sign) = name.chars().find(|sign| ['*', '?', '['].contains(sign)) {
        format!("in commands {sign} stands for parts of names")
    } else {
        return Ok(name.clone());
    };
    Err(problem)
}

/// A program and its arguments.
pub(super) fn command(raw: &Raw) -> Result<Vec<String>, String> {
    let words = match raw {
        Raw::List(items) => items.iter().map(word).collect::<Result<Vec<String>, String>>()?,
        Raw::Text(line) => {
            let words: Vec<&str> = line.split_whitespace().collect();
            return Err(format!("no shell would take it apart, write {words:?}"));
        }
        _ => return Err("not a list".into()),
    };
    match words.first() {
        None => Err("the list is empty".into()),
        Some(program) if program.is_empty() => Err("the program has no name".into()),
        Some(_) => Ok(words),
    }
}

fn word(raw: &Raw) -> Result<String, String> {
    match raw {
        Raw::Text(text) if text.contains('\0') => Err(format!("{raw} holds a zero byte")),
        Raw::Text(text) => Ok(text.clone()),
        other => Err(format!("{other} is not a string")),
    }
}

/// Names of companions, each once.
pub(super) fn names(raw: &Raw) -> Result<Vec<String>, String> {
    let Raw::List(items) = raw else { return Err("not a list".into()) };
    let mut names = Vec::new();
    for item in items {
        let Raw::Text(name) = item else { return Err(format!("{item} is not a string")) };
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// What asks a companion to end: `SIGTERM`, `TERM` or `15`.
pub(super) fn stop_signal(raw: &Raw) -> Result<Signal, String> {
    let number = |number: i64| i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok());
    let signal = match raw {
        Raw::Integer(found) => number(*found),
        Raw::Text(text) => {
            let text = text.trim().to_ascii_uppercase();
            match text.parse() {
                Ok(found) => number(found),
                Err(_) if text.starts_with("SIG") => text.parse().ok(),
                Err(_) => format!("SIG{text}").parse().ok(),
            }
        }
        _ => return Err("neither a name nor a number".into()),
    };
    match signal {
        None => Err("there is no such signal".into()),
        Some(signal) if DO_NOT_END.contains(&signal) => Err(format!("{signal} ends nobody")),
        Some(signal) => Ok(signal),
    }
}

/// What [`stop_signal`] takes.
pub(super) fn stop_signals() -> String {
    "the name or number of a signal that can end a process, such as SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, \
     SIGWINCH or SIGKILL"
        .into()
}

/// A directory that is there, absolute.
pub(super) fn directory(raw: &Raw, base: &Path) -> Result<PathBuf, String> {
    let path = base.join(raw.path()?);
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(format!("{} is not a directory", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Where standard output goes.
pub(super) fn stdout(raw: &Raw, base: &Path) -> Result<CompanionOutput, String> {
    match raw {
        Raw::Text(text) if text == "stdout" => Err("it is standard output itself".into()),
        _ => output(raw, base, "\"inherit\""),
    }
}

/// Where standard error goes.
pub(super) fn stderr(raw: &Raw, base: &Path) -> Result<CompanionOutput, String> {
    match raw {
        Raw::Text(text) if text == "stdout" => Ok(CompanionOutput::Stdout),
        _ => output(raw, base, "\"inherit\" or \"stdout\""),
    }
}

/// `instead` is what to write in the place of a path that depends on who opens it.
fn output(raw: &Raw, base: &Path, instead: &str) -> Result<CompanionOutput, String> {
    match raw {
        Raw::Text(text) if text == "inherit" => Ok(CompanionOutput::Inherit),
        Raw::Text(text) if text == "stderr" => Err("outputs go to files or where stdout goes".into()),
        _ => {
            let path = base.join(raw.path()?);
            if depends_on_process(&path) {
                return Err(format!("in each process that is something else; write {instead}"));
            }
            file(path).map(CompanionOutput::File)
        }
    }
}

/// Whether the path, or what it is a link to, leads each process to a descriptor or terminal of its own.
fn depends_on_process(path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if OF_EACH_PROCESS.iter().any(|own| path == Path::new(own)) || path.starts_with("/dev/fd") {
            return true;
        }
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { return false };
        let Ok(parent) = parent.canonicalize() else { return false };
        let real = parent.join(name);
        let is_descriptor = parent.starts_with("/proc") && parent.file_name() == Some(OsStr::new("fd"));
        if is_descriptor || OF_EACH_PROCESS.iter().any(|own| real == Path::new(own)) {
            return true;
        }
        match real.read_link() {
            Ok(target) => path = parent.join(target),
            Err(_) => return false,
        }
    }
    false
}

/// A path at which there can be a file.
fn file(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_dir() {
        return Err(format!("{} is a directory", path.display()));
    }
    match path.parent() {
        Some(parent) if !parent.is_dir() => Err(format!("there is no directory {}", parent.display())),
        _ => Ok(path),
    }
}

/// Who may open the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

impl Mode {
    /// Reads `0o600` as a number, or `600`, `0600` or `0o600` as text.
    pub(super) fn of(raw: &Raw) -> Result<Self, String> {
        let bits = match raw {
            Raw::Integer(bits) => u32::try_from(*bits).ok(),
            Raw::Text(text) => {
                let digits = text.trim();
                let digits = digits.strip_prefix("0o").unwrap_or(digits);
                let is_octal = digits.bytes().all(|digit| (b'0'..b'8').contains(&digit));
                u32::from_str_radix(digits, 8).ok().filter(|_| is_octal)
            }
            _ => return Err("neither a number nor a text".into()),
        };
        match bits {
            Some(bits) if bits > 0o777 => Err("more than 0o777; octal numbers begin with 0o".into()),
            Some(bits) if bits & OWNER != OWNER => Err("it locks out the owner".into()),
            Some(bits) => Ok(Self(bits)),
            None => Err("not permissions".into()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Devices that are others for each process, as `/dev/fd` and `/proc/PID/fd` are.
const OF_EACH_PROCESS: [&str; 4] = ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty"];
/// What the kernel follows, see path_resolution(7).
const MAX_LINKS: usize = 40;

/// Reading and writing, for the owner.
const OWNER: u32 = 0o600;

/// Signals that stop a process or let it go on, and those of the kernel that do nothing to who does not ask for them. SIGWINCH
/// does nothing either where it is not asked for, but there are servers that it tells to finish.
const DO_NOT_END: [Signal; 7] = [
    Signal::SIGSTOP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCONT,
    Signal::SIGCHLD,
    Signal::SIGURG,
];
