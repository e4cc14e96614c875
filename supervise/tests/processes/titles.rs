//! What `ps` shows.

use std::env;
use std::fs;
use std::process::Command;

use gunmetal_supervise::{ChildSetup, set_title};

use crate::Case;
use crate::cases::{await_go, child, go, pipe, program, sleep_long};

pub(crate) const CASES: &[Case] = &[
    ("titles::ps_shows_the_title", ps_shows_the_title),
    ("titles::a_short_title_leaves_nothing_of_the_arguments", a_short_title_leaves_nothing_of_the_arguments),
    ("titles::a_title_of_every_length_is_shown_exactly", a_title_of_every_length_is_shown_exactly),
    ("titles::a_title_beyond_the_room_is_cut", a_title_beyond_the_room_is_cut),
    ("titles::arguments_and_environment_stay_readable", arguments_and_environment_stay_readable),
    ("titles::a_childs_title_is_its_own", a_childs_title_is_its_own),
    (
        "titles::a_process_with_threads_gets_the_threads_name_only",
        a_process_with_threads_gets_the_threads_name_only,
    ),
];

pub(crate) const PROGRAMS: &[Case] = &[
    ("program::shows_a_short_title", shows_a_short_title),
    ("program::shows_titles_of_every_length", shows_titles_of_every_length),
    ("program::prints_arguments_under_a_title", prints_arguments_under_a_title),
];

fn ps(columns: &str) -> String {
    let pid = std::process::id().to_string();
    let output = Command::new("ps").args(["-ww", "-o", columns, "-p", &pid]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn cmdline(pid: impl std::fmt::Display) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap()
}

fn ps_shows_the_title() {
    let title = "gunmetal: dirty worker 3 (images:ImageApp, video:Transcoder)";
    set_title(title);
    assert_eq!(ps("args="), title);
    assert_eq!(ps("comm="), &title[..15]);
}

fn a_short_title_leaves_nothing_of_the_arguments() {
    let make = |path: &str| {
        let mut command = Command::new(path);
        command.args(["--an-argument", "much longer than the title that follows"]);
        command
    };
    assert_eq!(program("program::shows_a_short_title", make), "gm");
}

fn shows_a_short_title() {
    set_title("gm");
    assert_eq!(cmdline("self"), b"gm\0");
    print!("{}", ps("args="));
}

fn a_title_of_every_length_is_shown_exactly() {
    let make = |path: &str| {
        let mut command = Command::new(path);
        command.env_clear().args(["one", "two", "", "four"]).env("ROOM", "x".repeat(100));
        command
    };
    program("program::shows_titles_of_every_length", make);
}

/// Through the end of the arguments, where the kernel changes its mind, and well into the environment.
fn shows_titles_of_every_length() {
    let arguments_len: usize = env::args().map(|argument| argument.len() + 1).sum();
    for len in (1..arguments_len + 90).chain([1, arguments_len - 1]) {
        let title = "t".repeat(len);
        set_title(&title);
        let shown = cmdline("self");
        assert_eq!(String::from_utf8_lossy(&shown).trim_end_matches('\0'), title, "{len} of {arguments_len}");
    }
}

fn a_title_beyond_the_room_is_cut() {
    set_title(&"long ".repeat(100_000));
    let shown = cmdline("self");
    assert!(shown.starts_with(b"long long "));
    // And nothing behind the room was written over: the program still runs.
    assert!(env::vars().count() > 0);
}

fn arguments_and_environment_stay_readable() {
    let make = |path: &str| {
        let mut command = Command::new(path);
        command.args(["first", "second"]).env("GUNMETAL_TEST_VALUE", "still here");
        command
    };
    assert_eq!(
        program("program::prints_arguments_under_a_title", make),
        "first second still here\nstill here\n"
    );
}

fn prints_arguments_under_a_title() {
    set_title(&"a title that covers everything ".repeat(20));
    let arguments: Vec<String> = env::args().skip(1).collect();
    println!("{} {}", arguments.join(" "), env::var("GUNMETAL_TEST_VALUE").unwrap());
    // And so do children see it.
    let output = Command::new("sh").args(["-c", "echo $GUNMETAL_TEST_VALUE"]).output().unwrap();
    print!("{}", String::from_utf8(output.stdout).unwrap());
}

fn a_childs_title_is_its_own() {
    set_title("test: parent");
    let (reader, writer) = pipe();
    let child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: child").keep(&writer)).unwrap();
        go(&writer);
        sleep_long()
    });
    await_go(&reader);
    assert_eq!(cmdline(child.pid()), b"test: child\0");
    assert_eq!(cmdline("self"), b"test: parent\0");
}

fn a_process_with_threads_gets_the_threads_name_only() {
    let before = cmdline("self");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    set_title("test: threaded");
    assert_eq!(cmdline("self"), before);
    assert_eq!(ps("comm="), "test: threaded");
    drop(stop);
    let _ = thread.join();
}
