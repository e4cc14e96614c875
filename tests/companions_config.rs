//! Where companions are configured: mistakes that refuse a start, the configuration file and one of their own, and none at all.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;

use libc::{SIGKILL, SIGTERM};
use support::companions::{Crew, HEAD, calls, sleeps};
use support::http::HttpService;
use support::{Service, kill};

/// The first line behind [`HEAD`].
const FIRST: usize = 6;

#[test]
fn a_start_with_a_mistake_ends_with_1_and_a_line_that_names_file_companion_key_found_and_allowed() {
    let one = sleeps("one", "");
    for (settings, words) in [
        (
            sleeps("one", "stop_signal = \"SIGTRM\""),
            format!(
                "gunmetal.toml:{}: companion \"one\": stop_signal = \"SIGTRM\" is not allowed: there is no such signal; allowed: \
                 the name or number of a signal that can end a process, such as SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, \
                 SIGUSR2, SIGWINCH or SIGKILL",
                FIRST + 4
            ),
        ),
        (
            one.clone() + &one,
            format!(
                "gunmetal.toml:{}: companion \"one\": name = \"one\" is not allowed: it is taken (gunmetal.toml:{}); allowed: 1 to \
                 100 bytes without blanks, control characters, *, ? and [; not \"all\", no - in front",
                FIRST + 7,
                FIRST + 2
            ),
        ),
        (
            calls("one", "polight", ""),
            format!(
                "gunmetal.toml:{}: companion \"one\": target = \"probe:polight\" is not allowed: not registered (did you mean \
                 \"probe:polite\"?); registered: probe:polite, probe:polite_async, probe:deaf, probe:stubborn, probe:done, \
                 probe:failing, probe:panicking, probe:exiting, probe:looking, probe:large; allowed: the name of a function that the program \
                 has registered",
                FIRST + 3
            ),
        ),
        (
            "companion_restart_delay = \"soon\"\n".to_owned() + &one,
            format!(
                "gunmetal.toml:{FIRST}: companion_restart_delay = \"soon\" is not allowed: not a number; allowed: seconds, 0 for at once"
            ),
        ),
    ] {
        // The head has one of these already.
        let head = if settings.contains("soon") {
            HEAD.replace("companion_restart_delay", "#")
        } else {
            HEAD.into()
        };
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("gunmetal.toml"), head + &settings).unwrap();
        let mut service = Service::start_in(directory, "companion_probe", &[], &[]);
        assert_eq!(service.wait().code(), Some(1), "{words}");
        service
            .wait_for("the last words", || (service.log() == [format!("gunmetal: {words}")]).then_some(()));
        service.leaves_nothing_but(&["gunmetal.toml"]);
    }
}

#[test]
fn a_file_of_their_own_is_all_that_a_reread_needs() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gunmetal.toml"), MAIN).unwrap();
    let settings =
        |rest: &str| format!("companion_control_socket = \"control.sock\"\ncompanion_startsecs = 0\n{rest}");
    fs::write(directory.path().join("companions.toml"), settings(&sleeps("one", ""))).unwrap();
    let http = HttpService::of(Service::start_in(directory, "hello", &[], &[]));
    let crew = Crew::of(http);
    let before = crew.runs("one");

    crew.write("gunmetal.toml", &MAIN.replace("workers = 1", "workers = \"many\"\nno_such_setting = 1"));
    crew.write("companions.toml", &settings(&(sleeps("one", "") + &sleeps("two", ""))));
    assert_eq!(crew.reread(), [vec!["two"], vec![], vec![], vec!["one"]]);
    crew.runs("two");

    // A second place for companions is one too many.
    crew.write("gunmetal.toml", &(MAIN.to_owned() + &sleeps("three", "")));
    let error = crew.reread_fails();
    assert!(
        error.starts_with(
            "invalid config: gunmetal.toml:5: companion_workers is not allowed here: companions are configured in \
             companions.toml, which companion_config_file names (gunmetal.toml:3)"
        ),
        "{error}"
    );
    crew.write("gunmetal.toml", MAIN);
    // And so is anything else in theirs.
    crew.write("companions.toml", &settings(&("workers = 2\n".to_owned() + &sleeps("one", ""))));
    let error = crew.reread_fails();
    assert!(
        error.starts_with("invalid config: companions.toml:3: unknown setting \"workers\" (it belongs in the configuration file)"),
        "{error}"
    );
    fs::remove_file(crew.service().file("companions.toml")).unwrap();
    let error = crew.reread_fails();
    assert!(
        error.starts_with(
            "invalid config: gunmetal.toml:3: companion_config_file = \"companions.toml\" is not allowed: "
        ),
        "{error}"
    );

    // The same companions in the other place are no difference.
    let main = MAIN.replace("companion_config_file = \"companions.toml\"\n", &settings(""));
    crew.write("gunmetal.toml", &(main + &sleeps("one", "")));
    assert_eq!(crew.reread(), [vec![], vec!["two"], vec![], vec!["one"]]);
    assert_eq!(crew.runs("one"), before);
    crew.ends(&[]);
}

#[test]
fn a_file_that_a_flag_names_makes_the_other_one_irrelevant_to_a_reread() {
    let directory = tempfile::tempdir().unwrap();
    let settings = |rest: &str| format!("companion_control_socket = \"control.sock\"\n{rest}");
    fs::write(directory.path().join("companions.toml"), settings(&sleeps("one", "startsecs = 0"))).unwrap();
    let flags = ["--bind", "127.0.0.1:0", "--companion-config-file", "companions.toml"];
    let crew = Crew::of(HttpService::of(Service::start_in(directory, "hello", &flags, &[])));
    crew.runs("one");
    crew.write("gunmetal.toml", "no TOML at all");
    crew.write("companions.toml", &settings(&sleeps("two", "startsecs = 0")));
    assert_eq!(crew.reread(), [vec!["two"], vec!["one"], vec![], vec![]]);
    crew.runs("two");
    crew.ends(&["companions.toml"]);
}

#[test]
fn what_else_is_wrong_with_the_configuration_file_does_not_fail_a_reread() {
    let crew = Crew::start("hello", &sleeps("one", ""));
    let before = crew.runs("one");
    let head = HEAD
        .replace("workers = 1", "workers = \"many\"\nno_such_setting = 1\nbind = 7")
        .replacen("bind", "#", 1);
    crew.write("gunmetal.toml", &(head + &sleeps("one", "") + &sleeps("two", "")));
    assert_eq!(crew.reread(), [vec!["two"], vec![], vec![], vec!["one"]]);
    crew.runs("two");
    assert_eq!(crew.runs("one"), before);
    crew.ends(&[]);
}

#[test]
fn what_the_manager_itself_was_told_changes_with_the_next_start_only_and_a_reread_says_so() {
    let crew = Crew::start("hello", &sleeps("one", ""));
    let before = crew.runs("one");
    crew.configure(
        &("companion_control_socket_mode = \"660\"\ncompanion_manager_stop_timeout = 7\n".to_owned()
            + &sleeps("one", "")),
    );
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one"]]);
    for name in ["companion_control_socket_mode", "companion_manager_stop_timeout"] {
        crew.service()
            .line(&format!("{name} has changed, which takes effect with the next start or upgrade (USR2)"));
    }
    assert_eq!(crew.runs("one"), before);
    crew.ends(&[]);
}

#[test]
fn without_a_list_every_function_runs_under_the_last_part_of_its_name() {
    let crew = Crew::start("companion_probe", "companion_stdout = \"out\"\n");
    let names: Vec<String> =
        crew.statuses().iter().map(|status| status["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "polite",
            "polite_async",
            "deaf",
            "stubborn",
            "done",
            "failing",
            "panicking",
            "exiting",
            "looking",
            "large"
        ]
    );
    for name in ["polite", "polite_async", "deaf", "stubborn"] {
        crew.runs(name);
        let status = crew.status(name);
        assert_eq!(status["target"], format!("probe:{name}"), "{status}");
    }
    let stubborn = crew.runs("stubborn");
    // The first list makes all of them go but those that are in it.
    crew.configure(&("companion_stdout = \"out\"\n".to_owned() + &calls("polite", "polite", "")));
    let [added, removed, restarted, unchanged] = crew.reread();
    assert_eq!((added, removed, restarted), (vec![], names[1..].to_vec(), vec![]));
    assert_eq!(unchanged, ["polite"]);
    kill(stubborn, SIGKILL);
    crew.ends(&["out"]);
}

#[test]
fn without_companions_there_is_no_manager_and_an_empty_list_is_as_good_as_none() {
    for (example, settings) in [
        ("hello", ""),
        ("hello", "companion_workers = []\n"),
        ("companion_probe", "companion_workers = []\n"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("gunmetal.toml"), format!("{HEAD}{settings}")).unwrap();
        let http = HttpService::of(Service::start_in(directory, example, &[], &[]));
        http.has_workers(1);
        assert_eq!(http.service.descendants().len(), 1, "{example}: {:?}", http.service.descendants());
        assert!(!http.service.file("control.sock").exists(), "{example}");
        http.ends(SIGTERM, &["gunmetal.toml"]);
    }
}

/// A configuration file that leaves companions to another one.
const MAIN: &str = "bind = \"127.0.0.1:0\"\nworkers = 1\ncompanion_config_file = \"companions.toml\"\n";
