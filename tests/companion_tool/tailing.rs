//! `gunmetal companion tail`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::manager::{Guard, Manager, PATIENCE, companion, wait_for};
use crate::silent;

#[test]
fn the_end_of_a_file_is_shown_in_bytes_or_in_lines() {
    let (manager, file) = manager_with_file();
    let text: String = (0..500).map(|number| format!("line {number:03}\n")).collect();
    fs::write(file, &text).unwrap();
    for (args, expected) in [
        (&["tail", "a"][..], &text[text.len() - 1600..]),
        (&["tail", "a", "stdout", "-n", "2"], "line 498\nline 499\n"),
        (&["tail", "a", "-c", "4"], "499\n"),
        (&["tail", "a", "--lines", "1000"], &text),
        (&["tail", "a", "--bytes", "100000"], &text),
        (&["tail", "a", "-n", "0"], ""),
    ] {
        assert_eq!(manager.say(args), (0, expected.to_owned(), String::new()), "{args:?}");
    }
    let (code, _, words) = manager.say(&["tail", "a", "-n", "1", "-c", "1"]);
    assert!(code == 2 && words.contains("cannot be used with"), "{words}");
}

#[test]
fn bytes_that_are_no_text_are_shown_as_they_are() {
    let (manager, file) = manager_with_file();
    fs::write(file, b"\xff\0\xfe").unwrap();
    let output = manager.tool(&["tail", "a"]).output().unwrap();
    assert_eq!(output.stdout, b"\xff\0\xfe");
}

#[test]
fn an_output_without_a_file_of_its_own_is_an_error_that_says_where_it_goes() {
    let (manager, _) = manager_with_file();
    let (code, text, words) = manager.say(&["tail", "a", "stderr"]);
    assert_eq!((code, text.as_str()), (1, ""));
    let start = "gunmetal: stderr of a has no file: it goes where that of the service goes";
    assert!(words.starts_with(start) && words.contains("`stderr = \"/var/log/a.log\"`"), "{words}");
}

#[test]
fn a_file_that_is_not_there_or_is_none_is_an_error() {
    let (manager, file) = manager_with_file();
    let (code, _, words) = manager.say(&["tail", "a"]);
    let expected = format!("gunmetal: {} cannot be read: No such file", file.display());
    assert!(code == 1 && words.starts_with(&expected), "{words}");
    fs::create_dir(&file).unwrap();
    let (code, _, words) = manager.say(&["tail", "a"]);
    assert!(code == 1 && words.ends_with("is no file whose end could be read\n"), "{words}");
    fs::remove_dir(&file).unwrap();
    // Nobody writes to it, and nobody waits for that.
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, _, words) = manager.say(&["tail", "a"]);
    assert!(code == 1 && words.ends_with("is no file whose end could be read\n"), "{words}");
}

#[test]
fn the_file_that_the_output_goes_to_is_not_fed_to_itself() {
    let (manager, path) = manager_with_file();
    fs::write(&path, "one\n").unwrap();
    for args in [&["tail", "a"][..], &["tail", "a", "-f"]] {
        let stdout = OpenOptions::new().append(true).open(&path).unwrap();
        let mut tool = manager.tool(args).stdout(stdout).stderr(Stdio::piped()).spawn().map(Guard).unwrap();
        let status = wait_for("the end", || tool.0.try_wait().unwrap());
        let mut words = String::new();
        tool.0.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        let expected =
            format!("gunmetal: {} is where this output goes, and is not shown there\n", path.display());
        assert_eq!((status.code(), words), (Some(1), expected), "{args:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }
}

#[test]
fn without_following_the_end_is_where_it_was_at_the_start_however_fast_the_file_grows() {
    let (manager, path) = manager_with_file();
    let old = "old line\n".repeat(20_000);
    fs::write(&path, &old).unwrap();
    let len = (old.len() + 1).to_string();
    let mut tail = Following::start(&manager, &["tail", "a", "-c", &len]);
    // By now it has looked at the size, and waits for somebody to read what does not fit into the pipe.
    tail.shows("old line\n");
    append(&path, "new line\n");
    let mut rest = String::new();
    tail.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, old["old line\n".len()..]);
}

#[test]
fn another_name_than_one_that_is_there_is_an_error() {
    let (manager, _) = manager_with_file();
    let expected = "gunmetal: no companion is called \"b\"; there is only a\n";
    assert_eq!(manager.say(&["tail", "b"]), (1, String::new(), expected.to_owned()));
    let expected = "gunmetal: tail shows one companion, by its name\n";
    assert_eq!(manager.say(&["tail", "all"]), (1, String::new(), expected.to_owned()));
}

#[test]
fn a_file_is_followed_through_cuts_and_rotations() {
    let (manager, path) = manager_with_file();
    fs::write(&path, "zero\none\n").unwrap();
    let mut tail = Following::start(&manager, &["tail", "a", "-f", "-n", "1"]);
    tail.shows("one\n");
    append(&path, "two\nthr");
    // A part of a line, too.
    tail.shows("two\nthr");
    append(&path, "ee\n");
    tail.shows("ee\n");
    // copytruncate.
    File::create(&path).unwrap();
    tail.complains("has been cut");
    append(&path, "four\n");
    tail.shows("four\n");
    // Rotated: for a while the companion still writes to the old file.
    let old = path.with_extension("log.1");
    fs::rename(&path, &old).unwrap();
    append(&old, "five\n");
    tail.shows("five\n");
    fs::write(&path, "six\n").unwrap();
    tail.complains("is a new file");
    tail.shows("six\n");
    append(&path, "seven\n");
    tail.shows("seven\n");
}

#[test]
fn following_ends_when_nobody_reads_any_more_though_nothing_comes() {
    let (manager, path) = manager_with_file();
    fs::write(&path, "one\n").unwrap();
    let mut tail = Following::start(&manager, &["tail", "a", "--follow"]);
    tail.shows("one\n");
    let mut child = tail.stop_reading();
    let status = wait_for("the end", || child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

/// A manager whose companion `a` writes its standard output to the file that is named.
fn manager_with_file() -> (Manager, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    let mut status = companion("a", "RUNNING", "");
    (status["stdout"], status["stderr"]) = (path.to_str().unwrap().into(), Value::Null);
    let mut manager = Manager::with([vec![status]], silent);
    // The file goes with the manager.
    manager.keep(directory);
    (manager, path)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The tool while it follows a file.
struct Following {
    child: Guard,
    stdout: ChildStdout,
    complaints: Receiver<String>,
}

impl Following {
    fn start(manager: &Manager, args: &[&str]) -> Following {
        let mut child = manager.tool(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, complaints) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Following { child: Guard(child), stdout, complaints }
    }

    /// Exactly this comes next.
    fn shows(&mut self, text: &str) {
        let mut shown = vec![0; text.len()];
        let mut len = 0;
        while len < shown.len() {
            let mut wait = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)];
            let count = poll(&mut wait, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
            assert_eq!(count, 1, "{:?} and nothing more", String::from_utf8_lossy(&shown[..len]));
            let more = self.stdout.read(&mut shown[len..]).unwrap();
            assert!(more > 0, "the end after {:?}", String::from_utf8_lossy(&shown[..len]));
            len += more;
        }
        assert_eq!(String::from_utf8_lossy(&shown), text);
    }

    fn complains(&mut self, text: &str) {
        let line = self.complaints.recv_timeout(PATIENCE).unwrap();
        assert!(line.ends_with(text), "{line}");
    }

    fn stop_reading(self) -> Guard {
        self.child
    }
}
