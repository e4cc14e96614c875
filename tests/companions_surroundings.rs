//! What a companion finds around it: where its outputs go, its directory and variables, and which descriptors it holds.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::companions::{Crew, HEAD, calls, executes, shell, sleeps};
use support::http::HttpService;
use support::{Service, example_binary, kill};

#[test]
fn outputs_are_appended_to_files() {
    let script = "echo out; echo err >&2; exec sleep 1000";
    let crew = Crew::start(
        "companion_probe",
        &[
            shell("one", script, "stdout = \"one.out\"\nstderr = \"one.err\"\nautostart = false"),
            shell("two", script, "stdout = \"two.out\"\nstderr = \"stdout\""),
            calls("three", "looking", "stdout = \"three.out\"\nstderr = \"three.err\""),
        ]
        .concat(),
    );
    crew.write("one.out", "what was there\n");
    crew.order("start", "one");
    crew.says("one.err", "err");
    crew.says("two.out", "err");
    crew.says("three.err", "nothing to complain of");
    assert_eq!(crew.lines("one.out"), ["what was there", "out"]);
    assert_eq!(crew.lines("two.out"), ["out", "err"]);
    assert!(crew.lines("three.out").contains(&"that is all".to_owned()));

    // The next process goes on where the last one has stopped.
    for name in ["one", "two"] {
        kill(crew.runs(name), libc::SIGKILL);
    }
    let is_whole = |file: &str, lines: &[&str]| {
        crew.service().wait_for("the lines", || (crew.lines(file) == lines).then_some(()));
    };
    is_whole("one.out", &["what was there", "out", "out"]);
    is_whole("one.err", &["err", "err"]);
    is_whole("two.out", &["out", "err", "out", "err"]);

    let status = crew.status("one");
    let path = |name: &str| crew.service().file(name).display().to_string();
    assert_eq!((&status["stdout"], &status["stderr"]), (&json!(path("one.out")), &json!(path("one.err"))));
    let status = crew.status("two");
    assert_eq!((&status["stdout"], &status["stderr"]), (&json!(path("two.out")), &json!(path("two.out"))));
    let mode = fs::metadata(crew.service().file("one.err")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "{mode:o}");
    crew.ends(&["one.out", "one.err", "two.out", "three.out", "three.err"]);
}

#[test]
fn who_goes_on_writing_to_a_file_that_is_cut_writes_at_its_new_end() {
    let script = "echo before; while ! test -e go; do sleep 0.01; done; echo after; exec sleep 1000";
    let crew = Crew::start("hello", &shell("one", script, "stdout = \"out\""));
    crew.says("out", "before");
    File::options().write(true).open(crew.service().file("out")).unwrap().set_len(0).unwrap();
    crew.write("go", "");
    crew.says("out", "after");
    assert_eq!(fs::read_to_string(crew.service().file("out")).unwrap(), "after\n");
    crew.ends(&["out", "go"]);
}

#[test]
fn outputs_that_are_inherited_go_where_those_of_the_service_go() {
    let directory = tempfile::tempdir().unwrap();
    let settings = [
        HEAD,
        &shell("one", "echo out of one; echo err of one >&2; exec sleep 1000", ""),
        &shell("two", "echo out of two; echo err of two >&2; exec sleep 1000", "stderr = \"stdout\""),
        &calls("three", "polite", "stdout = \"inherit\""),
    ];
    fs::write(directory.path().join("gunmetal.toml"), settings.concat()).unwrap();
    let mut command = Command::new(example_binary("companion_probe"));
    command.current_dir(directory.path()).env("TMPDIR", directory.path()).stdin(Stdio::null());
    command.stdout(File::create(directory.path().join("out")).unwrap()).stderr(Stdio::piped());
    let crew = Crew::of(HttpService::of(Service::as_it_is(command, directory)));
    crew.service().line("err of one");
    for line in ["out of one", "out of two", "err of two", "three is here"] {
        crew.says("out", line);
    }
    let log = crew.service().log();
    assert!(!log.iter().any(|line| line.contains("err of two") || line.contains("out of")), "{log:?}");
    for name in ["one", "two", "three"] {
        let status = crew.status(name);
        assert_eq!((&status["stdout"], &status["stderr"]), (&Value::Null, &Value::Null), "{status}");
    }
    crew.ends(&["out"]);
}

#[test]
fn who_cannot_have_what_it_needs_does_not_begin_and_the_reason_is_told_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    // It is there when the configuration is read.
    fs::create_dir(directory.path().join("place")).unwrap();
    let settings = [
        HEAD,
        &sleeps("one", "stdout = \"out\"\nautostart = false"),
        &sleeps("two", "stderr = \"err\"\nautostart = false"),
        &calls("three", "polite", "cwd = \"place\"\nautostart = false"),
    ];
    fs::write(directory.path().join("gunmetal.toml"), settings.concat()).unwrap();
    let http = HttpService::of(Service::start_in(directory, "companion_probe", &[], &[]));
    let crew = Crew::of(http);
    let path = |name: &str| crew.service().file(name);
    fs::create_dir(path("out")).unwrap();
    fs::create_dir(path("err")).unwrap();
    fs::remove_dir(path("place")).unwrap();
    for (name, output, words) in [
        ("one", "stdout", format!("stdout {}: Is a directory (os error 21)", path("out").display())),
        ("two", "stderr", format!("stderr {}: Is a directory (os error 21)", path("err").display())),
        ("three", "cwd", format!("cwd {}: No such file or directory (os error 2)", path("place").display())),
    ] {
        crew.order("start", name);
        let has_failed =
            |status: &Value| status["state"] == "BACKOFF" && status["exit_count"].as_u64() >= Some(2);
        let status = crew.has(name, output, has_failed);
        assert_eq!((&status["reason"], &status["last_exit_code"]), (&json!(words), &json!(125)), "{status}");
        crew.service().line(&format!("Companion {name} {words}, retrying in 0.1 s"));
    }
    fs::remove_dir(path("out")).unwrap();
    fs::remove_dir(path("err")).unwrap();
    fs::create_dir(path("place")).unwrap();
    for name in ["one", "two", "three"] {
        let goes_on = |status: &Value| status["state"] == "RUNNING" && is_begun(status);
        let status = crew.has(name, "its process", goes_on);
        assert_eq!(status.get("reason"), None, "{status}");
    }
    crew.ends(&["out", "err", "place"]);
}

#[test]
fn directory_and_variables_are_the_services_and_its_own_over_them() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("place")).unwrap();
    let script = "echo cwd $(pwd); env | sed 's/^/env /'; echo that is all; exec sleep 1000";
    let settings = [
        "env = [\"A=service\", \"B=service\", \"C=service\"]\ncompanion_env = { B = \"all\", C = \"all\" }\n",
        HEAD,
        &shell("one", script, "stdout = \"one\"\ncwd = \"place\"\nenv = { C = \"own\", D = \" = \" }"),
        &calls("two", "looking", "stdout = \"two\"\ncwd = \"place\"\nenv = { C = \"own\" }"),
        &calls("three", "looking", "stdout = \"three\""),
    ];
    fs::write(directory.path().join("gunmetal.toml"), settings.concat()).unwrap();
    let service = Service::start_in(directory, "companion_probe", &[], &[("F", "outside"), ("A", "outside")]);
    let crew = Crew::of(HttpService::of(service));
    let here = fs::canonicalize(crew.service().directory()).unwrap();
    for (file, cwd, own) in
        [("one", here.join("place"), "own"), ("two", here.join("place"), "own"), ("three", here, "all")]
    {
        crew.says(file, "that is all");
        let lines = crew.lines(file);
        let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{file}: {line}: {lines:#?}");
        has(&format!("cwd {}", cwd.display()));
        for variable in ["A=service", "B=all", &format!("C={own}"), "F=outside"] {
            has(&format!("env {variable}"));
        }
    }
    assert!(crew.lines("one").contains(&"env D= = ".to_owned()), "{:#?}", crew.lines("one"));
    // None of it is anybody else's.
    let worker = crew.http.has_workers(1).pop_first().unwrap();
    assert_eq!(
        fs::read_link(format!("/proc/{worker}/cwd")).unwrap(),
        fs::canonicalize(crew.service().directory()).unwrap()
    );
    crew.ends(&["one", "two", "three", "place"]);
}

#[test]
fn a_program_is_looked_for_in_the_companions_directory_and_along_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("place/program");
    fs::create_dir(directory.path().join("place")).unwrap();
    fs::write(&path, "#!/bin/sh\necho \"$0 $1\"; exec sleep 1000\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    // Of the words after it, no shell has made anything.
    let along = format!("env = {{ PATH = \"{}:/usr/bin:/bin\" }}", directory.path().join("place").display());
    let settings = [
        HEAD,
        &executes("one", &["./program", "* $HOME"], "cwd = \"place\"\nstdout = \"one\""),
        &executes("two", &["program", "* $HOME"], &format!("{along}\nstdout = \"two\"")),
        &executes("three", &["place/program", "* $HOME"], "stdout = \"three\""),
    ];
    fs::write(directory.path().join("gunmetal.toml"), settings.concat()).unwrap();
    let crew = Crew::of(HttpService::of(Service::start_in(directory, "hello", &[], &[])));
    let here = crew.service().directory().display().to_string();
    for (name, program) in
        [("one", "./program"), ("two", &format!("{here}/place/program")), ("three", "place/program")]
    {
        crew.says(name, &format!("{program} * $HOME"));
    }
    crew.ends(&["one", "two", "three", "place"]);
}

#[test]
fn a_companion_finds_the_dirty_apps_of_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let call = [env!("CARGO_BIN_EXE_gunmetal"), "call", "bench_app:BenchApp", "echo_all", "7"];
    let settings = [
        &HEAD.replace("workers = 1", "workers = 0\ndirty_workers = 1\ndirty_apps = [\"bench_app:BenchApp\"]"),
        &executes("one", &call, "stdout = \"one\"\nrestart_delay = 3600"),
    ];
    fs::write(directory.path().join("gunmetal.toml"), settings.map(String::as_str).concat()).unwrap();
    let service = Service::start_in(directory, "probe", &[], &[]);
    let crew = Crew::of(HttpService { service, port: 0 });
    let status = crew.reaches("one", "BACKOFF");
    assert_eq!(status["last_exit_code"], 0, "{status}");
    assert_eq!(crew.lines("one"), ["{\"args\":[7],\"kwargs\":{}}"]);
    crew.ends(&["one"]);
}

#[test]
fn a_companion_holds_three_descriptors_and_none_of_anybody_else() {
    for workers in ["workers = 1", "workers = 0"] {
        let directory = tempfile::tempdir().unwrap();
        let settings = [
            "pidfile = \"app.pid\"\nerrorlog = \"app.log\"\n",
            &HEAD.replace("workers = 1", workers),
            &sleeps("one", "stdout = \"out\"\nstderr = \"err\""),
            &calls("two", "deaf", "stdout = \"two\"\nstderr = \"stdout\""),
            &calls("three", "looking", "stdout = \"three\"\nstderr = \"inherit\""),
            &sleeps("four", "stdout = \"out\"\nstderr = \"err\""),
        ];
        fs::write(directory.path().join("gunmetal.toml"), settings.concat()).unwrap();
        let service = Service::start_in(directory, "companion_probe", &[], &[]);
        let crew = Crew::of(HttpService { service, port: 0 });
        let file = |name: &str| fs::canonicalize(crew.service().directory()).unwrap().join(name);
        let nothing = PathBuf::from("/dev/null");
        for name in ["one", "four"] {
            holds(&crew, name, BTreeMap::from([(0, nothing.clone()), (1, file("out")), (2, file("err"))]));
        }
        crew.service().wait_for("two", || crew.lines("two").first().cloned());
        holds(&crew, "two", BTreeMap::from([(0, nothing.clone()), (1, file("two")), (2, file("two"))]));
        crew.says("three", "that is all");
        holds(
            &crew,
            "three",
            BTreeMap::from([(0, nothing.clone()), (1, file("three")), (2, file("app.log"))]),
        );
        // It sees the same from inside.
        let seen: Vec<String> =
            crew.lines("three").into_iter().filter(|line| line.starts_with("fd ")).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        crew.ends(&["app.log", "out", "err", "two", "three"]);
    }
}

#[test]
fn a_companion_has_a_process_group_of_its_own_and_no_signal_is_kept_from_it() {
    let crew =
        Crew::start("companion_probe", &(sleeps("one", "") + &calls("two", "deaf", "stdout = \"two\"")));
    crew.service().wait_for("two", || crew.lines("two").first().cloned());
    let one = crew.runs("one");
    crew.service().wait_for("sleep", || {
        fs::read(format!("/proc/{one}/cmdline")).unwrap().starts_with(b"sleep\0").then_some(())
    });
    // SIGPIPE is ignored by every Rust program, and by none that it executes.
    for (pid, ignored) in [(one, 0), (crew.runs("two"), 1 << (libc::SIGPIPE - 1))] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        // Without those that the C library keeps for itself.
        let signals = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap() & 0x7fff_ffff
        };
        assert_eq!((signals("SigBlk:"), signals("SigIgn:")), (0, ignored), "{status}");
        let group =
            nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()))).unwrap();
        assert_eq!(u32::try_from(group.as_raw()).unwrap(), pid);
    }
    crew.ends(&["two"]);
}

/// Waits until this is open in a companion's process, and nothing else: a program opens files while it starts, and what it
/// should not have stays open.
fn holds(crew: &Crew, name: &str, expected: BTreeMap<u32, PathBuf>) {
    let pid = crew.runs(name);
    let mut last = BTreeMap::new();
    crew.service().wait_for("its descriptors", || {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(Result::unwrap);
        let numbers = entries.map(|entry| entry.file_name().to_str().unwrap().parse::<u32>().unwrap());
        let path = |number| Some((number, fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?));
        let found: BTreeMap<u32, PathBuf> = numbers.filter_map(path).collect();
        if found != last {
            eprintln!("{name} holds {found:?}, and is to hold {expected:?}");
            last = found;
        }
        (last == expected).then_some(())
    });
}

/// Whether its process is past the point at which it could have failed to begin.
fn is_begun(status: &Value) -> bool {
    let pid = status["pid"].as_u64().unwrap_or_default();
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    title.starts_with(b"sleep\0") || title.starts_with(b"gunmetal: companion three")
}
