//! What the settings of the master make of its processes: whom they run as, where, under which name, in the background, with
//! what they share.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use libc::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use support::http::HttpService;
use support::master::{Load, daemon_in, directory_with, lines, over, pid_in, start_in};
use support::{Process, Service, example_binary};

#[test]
fn workers_and_router_run_as_user_and_group_and_master_and_dirty_arbiter_as_they_were_started() {
    if !is_root("to run workers as another user") {
        return;
    }
    let directory = public_directory_with("small");
    let flags = [
        "--user",
        "nobody",
        "--workers",
        "2",
        "--pid",
        "app.pid",
        "--error-logfile",
        "app.log",
        "--log-level",
        "debug",
        "--bind",
        "unix:http.sock",
    ];
    let mut command = Command::new("./app");
    command.args(["--bind", "127.0.0.1:0"]).args(flags).env("TMPDIR", directory.path());
    command.current_dir(directory.path()).stderr(Stdio::piped());
    let mut service = Service::of(command, directory);
    let greets = |service: &Service| over(&service.file("http.sock"), "/World");
    let all_are_who_they_are = |service: &Service| {
        service.wait_for("an answer", || greets(service).filter(|text| text == "Good day, World!"));
        service.wait_for("all processes", || (service.descendants().len() == 6).then_some(()));
        for process in service.descendants() {
            let works =
                ["http worker", "router", "dirty worker"].iter().any(|role| process.title.contains(role));
            let expected = if works { NOBODY } else { 0 };
            assert_eq!(account(process.pid), (vec![expected; 4], vec![expected; 4]), "{process:?}");
            // None of root's further groups either.
            let groups = status(process.pid, "Groups:");
            assert!(!works || groups.iter().all(|group| *group == NOBODY), "{process:?}: {groups:?}");
        }
        assert_eq!(account(service.pid()).0, [0; 4]);
    };
    all_are_who_they_are(&service);
    assert_eq!(fs::metadata(service.file("http.sock")).unwrap().uid(), NOBODY);

    // Replacements and the next generation are nobody, too.
    let before: BTreeSet<u32> = service.processes("http worker").iter().map(|process| process.pid).collect();
    service.signal(SIGHUP);
    service.wait_for("new workers", || {
        let now = service.processes("http worker");
        (now.len() == 2 && now.iter().all(|process| !before.contains(&process.pid))).then_some(())
    });
    for role in ["http worker", "dirty worker", "router", "dirty arbiter"] {
        let victim = service.wait_for(role, || service.processes(role).into_iter().next());
        victim.signal(SIGKILL);
        service.wait_for("its end", || (!victim.is_alive()).then_some(()));
        all_are_who_they_are(&service);
    }

    // And they can open a log file anew that root has made.
    fs::rename(service.file("app.log"), service.file("app.log.1")).unwrap();
    service.signal(SIGUSR1);
    service.wait_for("a line of every process", || {
        let log = lines(&service.file("app.log"));
        let said =
            |pid: u32| log.iter().any(|line| line.contains(&format!("[{pid}] [DEBUG] Log file opened anew")));
        (service.descendants().iter().all(|process| said(process.pid)) && said(service.pid())).then_some(())
    });
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.leaves_nothing_but(&["app", "app.log", "app.log.1"]);
}

#[test]
fn group_alone_and_numbers_are_understood() {
    if !is_root("to run workers as another user") {
        return;
    }
    for (flags, uid, gid) in [
        (&["--group", "nogroup"][..], 0, NOBODY),
        (&["--user", "65534", "--group", "0"], NOBODY, 0),
        (&["--user", "12345"], 12345, 0),
        (&["--user", "12345", "--group", "23456"], 12345, 23456),
    ] {
        let http = start_in(public_directory_with("hello"), flags, &[]);
        http.answers();
        let worker = http.service.process("http worker").pid;
        assert_eq!(account(worker), (vec![uid; 4], vec![gid; 4]), "{flags:?}");
        http.ends(SIGTERM, &["app"]);
    }
}

#[test]
fn who_is_not_root_can_only_stay_who_it_is() {
    if !is_root("to start a service as another user") {
        return;
    }
    let ends = |flags: &[&str]| {
        let mut service = start_as_nobody("hello", flags);
        let code = service.wait().code();
        (code, service.line("gunmetal: "))
    };
    let words = "only root may, and this is user 65534, group 65534";
    let (code, last) = ends(&["--user", "root", "--pid", "app.pid"]);
    assert_eq!(code, Some(1));
    assert!(last.contains("cannot run workers as user 0, group 0") && last.contains(words), "{last}");
    let (code, last) = ends(&["--group", "root"]);
    assert_eq!(code, Some(1));
    assert!(last.contains("cannot run workers as user 65534, group 0") && last.contains(words), "{last}");

    let flags = ["--user", "nobody", "--pid", "app.pid", "--bind", "unix:http.sock"];
    let http = HttpService::of(start_as_nobody("small", &flags));
    assert_eq!(http.body("/World"), "Good day, World!");
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    let mut http = http;
    http.service.signal(SIGTERM);
    assert_eq!(http.service.wait().code(), Some(0));
    http.service.follow(new);
    http.service.line("promoted");
    assert_eq!(http.body("/World"), "Good day, World!");
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app"]);
}

#[test]
fn chdir_is_where_the_service_works_and_what_paths_are_relative_to() {
    let directory = directory_with("hooks");
    fs::create_dir(directory.path().join("work")).unwrap();
    let flags = ["--chdir", "work", "--pid", "app.pid", "--error-logfile", "app.log", "--dirty-workers", "1"];
    let mut command = Command::new("./app");
    command.args(["--bind", "unix:http.sock"]).args(flags).env("TMPDIR", directory.path());
    command.current_dir(directory.path()).stderr(Stdio::piped());
    let mut service = Service::of(command, directory);
    let work = service.file("work");
    service.wait_for("an answer", || over(&work.join("http.sock"), "/pid"));
    let runs_there = |service: &Service| {
        for process in service.descendants().iter().map(|process| process.pid).chain([service.pid()]) {
            let cwd = fs::read_link(format!("/proc/{process}/cwd")).unwrap();
            assert_eq!(cwd, fs::canonicalize(&work).unwrap());
        }
    };
    runs_there(&service);
    assert_eq!(pid_in(&work.join("app.pid")), Some(service.pid()));
    let journal = lines(&work.join("journal.txt"));
    assert!(journal.iter().any(|line| line.starts_with("dirty_worker_init ")), "{journal:#?}");
    // The program's own path is relative to where it was started.
    service.signal(SIGUSR2);
    let new = service.wait_for("the next master", || pid_in(&work.join("app.pid.2")));
    service.wait_for("its start", || {
        lines(&work.join("app.log"))
            .iter()
            .any(|line| line.contains("New master is in service"))
            .then_some(())
    });
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
    service.follow(new);
    service.wait_for("the pid file", || (pid_in(&work.join("app.pid")) == Some(new)).then_some(()));
    runs_there(&service);
    assert!(over(&work.join("http.sock"), "/pid").is_some());
    service.signal(SIGTERM);
    service.leaves_nothing_but(&["app", "work"]);
}

#[test]
fn heartbeats_are_made_in_worker_tmp_dir() {
    let directory = directory_with("hooks");
    fs::create_dir(directory.path().join("beats")).unwrap();
    let http = start_in(directory, &["--worker-tmp-dir", "beats", "--dirty-workers", "1"], &[]);
    http.answers();
    for role in ["http worker", "dirty worker"] {
        let worker = http.service.process(role).pid;
        let files = fs::read_dir(format!("/proc/{worker}/fd")).unwrap().flatten();
        let targets: Vec<String> =
            files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.display().to_string())).collect();
        let is_there =
            targets.iter().any(|target| target.contains("/beats/") && target.ends_with("(deleted)"));
        assert!(is_there, "{role}: {targets:?}");
    }
    http.ends(SIGTERM, &["app", "beats", "journal.txt"]);
}

#[test]
fn every_process_bears_the_name_of_the_service() {
    let flags = ["--name", "shop", "--dirty-workers", "1", "--pid", "app.pid"];
    let http = start_in(directory_with("hooks"), &flags, &[]);
    http.answers();
    let titles = |service: &Service| -> BTreeSet<String> {
        service.descendants().into_iter().map(|process| process.title).collect()
    };
    let expected = ["dirty arbiter [shop]", "dirty worker 0.1 [shop]", "http worker [shop]", "router [shop]"];
    let expected: BTreeSet<String> = expected.iter().map(|title| format!("gunmetal: {title}")).collect();
    http.service.wait_for("all titles", || (titles(&http.service) == expected).then_some(()));
    assert_eq!(title(http.service.pid()), "gunmetal: master [shop]");
    http.service.signal(SIGUSR2);
    http.service.line("New master is in service");
    let new = pid_in(&http.file("app.pid.2")).unwrap();
    assert_eq!(title(new), "gunmetal: master [shop.2]");
    let mut http = http;
    http.service.signal(SIGTERM);
    http.service.wait();
    http.service.follow(new);
    http.service.wait_for("the name", || (title(new) == "gunmetal: master [shop]").then_some(()));
}

#[test]
fn a_daemon_has_left_its_terminal_and_its_session() {
    let http = daemon_in(directory_with("hello"), &["--workers", "2"], &[]);
    http.answers();
    let workers = http.has_workers(2);
    let master = http.service.pid();
    let own: i32 = stat(std::process::id(), SESSION);
    let session = stat(master, SESSION);
    assert_ne!(session, own);
    assert_ne!(u32::try_from(session).unwrap(), master, "a leader could get a terminal again");
    for pid in workers.into_iter().chain([master]) {
        assert_eq!(stat(pid, SESSION), session);
        assert_eq!(stat(pid, TERMINAL), 0);
        for stream in [0, 1] {
            assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{stream}")).unwrap(), Path::new("/dev/null"));
        }
        let log = fs::read_link(format!("/proc/{pid}/fd/2")).unwrap();
        assert!(log.ends_with("app.log"), "{log:?}");
    }
    let mode = fs::metadata(http.file("app.pid")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "for scripts of everybody");
    http.service.signal(SIGTERM);
    http.service.leaves_nothing_but(&["app", "app.log"]);
}

#[test]
fn a_daemon_is_said_to_have_started_when_it_serves() {
    let directory = directory_with("hooks");
    let mut command = Command::new("./app");
    command.args(["--daemon", "--pid", "app.pid", "--bind", "unix:http.sock", "--dirty-workers", "0"]);
    command.env("JOURNAL_HANG", "load").env("TMPDIR", directory.path());
    command.current_dir(directory.path()).stderr(Stdio::piped());
    let mut service = Service::of(command, directory);
    let master = service.wait_for("the pid file", || pid_in(&service.file("app.pid")));
    service.wait_for("the worker", || {
        lines(&service.file("journal.txt")).iter().any(|line| line.starts_with("load ")).then_some(())
    });
    let launcher = Process { pid: service.pid(), title: String::new() };
    assert!(launcher.is_alive(), "it has not waited");
    fs::write(service.file("go"), "").unwrap();
    assert_eq!(service.wait().code(), Some(0));
    assert!(over(&service.file("http.sock"), "/pid").is_some());
    assert!(service.log().is_empty(), "{:?}", service.log());
    service.follow(master);
    service.signal(SIGTERM);
    service.leaves_nothing_but(&["app", "go", "journal.txt"]);
}

#[test]
fn a_daemon_that_does_not_start_says_why_to_whoever_has_started_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = address.as_str();
    let cases = [
        (
            ("JOURNAL_PANIC", "load"),
            "127.0.0.1:0",
            4,
            "the application could not be loaded: panicked: asked to panic",
        ),
        (
            ("JOURNAL_PANIC", "post_worker_init"),
            "127.0.0.1:0",
            3,
            "post_worker_init panicked: asked to panic",
        ),
        (("JOURNAL_ABORT", "load"), "127.0.0.1:0", 3, "killed by signal 6 (SIGABRT) before it was ready"),
        (("JOURNAL_PANIC", "when_ready"), "127.0.0.1:0", 1, "when_ready refused the start: asked to panic"),
        (
            ("JOURNAL_ABORT", "on_starting"),
            "127.0.0.1:0",
            1,
            "the service ended before it was up, and did not say why",
        ),
        (("JOURNAL", "journal.txt"), taken, 1, "cannot listen at"),
        (("JOURNAL", "journal.txt"), "unix:no/such/directory", 1, "its directory does not exist"),
    ];
    for ((name, value), bind, code, words) in cases {
        let flags = ["--daemon", "--pid", "app.pid", "--bind", bind, "--dirty-workers", "0"];
        let mut service = Service::start("hooks", &flags, &[(name, value)]);
        assert_eq!(service.wait().code(), Some(code), "{name} {value}");
        let last = service.line("gunmetal: ");
        assert!(last.contains(words), "{last}");
        // Who takes itself away cannot remove its pid file; the next start takes that over.
        let left: &[&str] = if name == "JOURNAL_ABORT" && code == 1 { &["app.pid"] } else { &[] };
        service.leaves_nothing_but(&[&["journal.txt"], left].concat());
    }
}

#[test]
fn preload_app_loads_once_in_the_master_and_all_workers_have_it() {
    let flags = ["--preload", "--workers", "2", "--dirty-workers", "1"];
    let http = start_in(directory_with("hooks"), &flags, &[]);
    let master = http.service.pid();
    let workers = http.has_workers(2);
    assert_eq!(http.body("/loaded"), master.to_string());
    http.all_answer(&[&workers]);
    http.service.signal(SIGHUP);
    http.service.wait_for("the new workers", || (!workers.contains(&http.answers())).then_some(()));
    assert_eq!(http.body("/loaded"), master.to_string());
    let loads =
        |path: &Path| lines(path).into_iter().filter(|line| line.starts_with("load ")).collect::<Vec<_>>();
    assert_eq!(loads(&http.file("journal.txt")), [format!("load {master} what every worker needs")]);
    http.ends(SIGTERM, &["app", "journal.txt"]);

    // Without it, each for itself.
    let http = start_in(directory_with("hooks"), &["--dirty-workers", "1"], &[]);
    let worker = http.answers();
    assert_eq!(http.body("/loaded"), worker.to_string());
    let dirty = http.service.process("dirty worker").pid;
    let loads = loads(&http.file("journal.txt"));
    assert_eq!(loads.len(), 2, "{loads:?}");
    for pid in [worker, dirty] {
        assert!(loads.contains(&format!("load {pid} what every worker needs")), "{loads:?}");
    }
}

#[test]
fn a_worker_beyond_max_rss_is_replaced_and_nobody_notices() {
    let flags = ["--max-rss", "100M", "--dirty-workers", "0"];
    let http = start_in(directory_with("hooks"), &flags, &[]);
    let (worker, load) = (http.answers(), Load::start(http.port));
    http.connect().get("/grow").unwrap();
    http.service.line("max_rss");
    http.service.wait_for("its successor alone", || (!http.workers().contains(&worker)).then_some(()));
    load.has_lost_nothing();
    http.ends(SIGTERM, &["app", "journal.txt"]);
}

/// A directory that every user may write in, with a program in it that every user may run.
fn public_directory_with(example: &str) -> tempfile::TempDir {
    let directory = directory_with(example);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Starts an example on a port of its own as the user `nobody`, in a directory of that user.
fn start_as_nobody(example: &str, flags: &[&str]) -> Service {
    let directory = tempfile::tempdir().unwrap();
    // The one that was built may lie where nobody may look.
    let program = directory.path().join("app");
    fs::copy(example_binary(example), &program).unwrap();
    for path in [directory.path(), &program] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new("./app");
    command.args(["--bind", "127.0.0.1:0"]).args(flags).uid(NOBODY).gid(NOBODY);
    command.env("TMPDIR", directory.path()).current_dir(directory.path()).stderr(Stdio::piped());
    Service::of(command, directory)
}

/// Whether the tests may do what only root may; in CI they are.
fn is_root(what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root may be asked {what}");
    }
    is_root
}

/// Real, effective, saved and file system ids of a process: user and group.
fn account(pid: u32) -> (Vec<u32>, Vec<u32>) {
    (status(pid, "Uid:"), status(pid, "Gid:"))
}

/// The numbers of a line of `/proc/<pid>/status`.
fn status(pid: u32, name: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// A number of `/proc/<pid>/stat`, counted from the state on, see proc_pid_stat(5).
fn stat(pid: u32, field: usize) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(field).unwrap().parse().unwrap()
}

fn title(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).trim_end_matches('\0').trim().to_owned()
}

const NOBODY: u32 = 65534;
const SESSION: usize = 3;
const TERMINAL: usize = 4;
