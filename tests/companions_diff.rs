//! What counts as another configuration of a companion, and what does not.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;

use support::companions::{Crew, HEAD, calls, executes, sleeps};

#[test]
fn whatever_is_changed_of_a_companion_restarts_it_and_nobody_else() {
    let fixed = sleeps("fixed", "");
    let crew = Crew::start("companion_probe", &(sleeps("one", "") + &fixed));
    fs::create_dir(crew.service().file("directory")).unwrap();
    let (mut one, two) = (crew.runs("one"), crew.runs("fixed"));
    let mut differs = |what: &str, settings: String| {
        crew.configure(&(settings + &fixed));
        assert_eq!(crew.reread(), [vec![], vec![], vec!["one"], vec!["fixed"]], "{what}");
        one = crew.runs_anew("one", one);
        // And only once.
        assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one", "fixed"]], "{what}");
    };
    let mut rest = String::new();
    for field in [
        "stop_signal = \"SIGINT\"",
        "stop_as_group = true",
        "kill_as_group = true",
        "stop_timeout = 7",
        "reload_timeout = 7",
        "stdout = \"out\"",
        "stderr = \"err\"",
        "cwd = \"directory\"",
        "env = { A = \"1\" }",
        "startsecs = 0.01",
        "restart_delay = 0.5",
        "max_restart_delay = 1",
        "restart_limit = 7",
        "max_rss = \"1G\"",
        "depends_on = [\"fixed\"]",
        "autostart = false",
    ] {
        rest = format!("{rest}{field}\n");
        differs(field, sleeps("one", &rest));
    }
    // A value in the place of another is a difference, too, and so is none.
    for (value, other) in [
        ("stdout = \"out\"", "stdout = \"other\""),
        ("stderr = \"err\"", "stderr = \"stdout\""),
        ("A = \"1\"", "A = \"2\""),
        ("A = \"2\"", "B = \"2\""),
        ("stop_timeout = 7\n", ""),
    ] {
        rest = rest.replace(value, other);
        differs(other, sleeps("one", &rest));
    }
    differs("an argument", executes("one", &["sleep", "1001"], &rest));
    differs("a function", calls("one", "polite", &rest));
    differs("another function", calls("one", "polite_async", &rest));
    assert_eq!(crew.runs("fixed"), two);
    assert!(fs::exists(crew.service().file("out")).unwrap());
    crew.ends(&["directory", "out", "other", "err"]);
}

#[test]
fn the_same_in_other_words_is_no_difference() {
    let one = "\n[[companion_workers]]\nname = \"one\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGTERM\"\n\
               env = { A = \"1\", B = \"2\" }\nstdout = \"out\"\nstop_timeout = 60\n";
    let crew = Crew::start("hello", one);
    let before = crew.runs("one");
    for same in [
        // Another order of keys, other spacing, a remark, other forms of the same values.
        "\n[[companion_workers]]\nenv.B = \"2\"\nenv.A = '1'\nstdout   =   \"out\" # remark\nstop_timeout = 60.0\n\
         stop_signal = \"term\"\ncommand = [\n  \"sleep\",\n  \"1000\",\n]\nname = \"one\"\n",
        // Defaults that are written down.
        &format!(
            "{one}reload_timeout = 60\nstderr = \"inherit\"\ndepends_on = []\nautostart = true\nrestart_limit = 0\n\
             max_rss = 0\nmax_restart_delay = 0\nstartsecs = 0\nrestart_delay = 0.05\n"
        ),
        // What is said of all in the place of what is said of one.
        "companion_stop_timeout = 60\ncompanion_env = { A = \"1\" }\ncompanion_stdout = \"out\"\n\
         [[companion_workers]]\nname = \"one\"\ncommand = [\"sleep\", \"1000\"]\nenv = { B = \"2\" }\n",
    ] {
        crew.configure(same);
        assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one"]], "{same}");
        assert_eq!(crew.runs("one"), before, "{same}");
    }
    crew.ends(&["out"]);
}

#[test]
fn another_order_of_companions_is_shown_and_is_no_difference() {
    let (one, two) = (sleeps("one", ""), sleeps("two", ""));
    let crew = Crew::start("hello", &(one.clone() + &two));
    let before = [crew.runs("one"), crew.runs("two")];
    crew.configure(&(two + &one));
    assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["two", "one"]]);
    let names: Vec<String> = crew.statuses().iter().map(|status| status["name"].to_string()).collect();
    assert_eq!(names, ["\"two\"", "\"one\""]);
    assert_eq!([crew.runs("one"), crew.runs("two")], before);
    crew.ends(&[]);
}

#[test]
fn a_default_that_changes_restarts_those_that_it_holds_for() {
    let companions =
        sleeps("one", "") + &sleeps("two", "stop_timeout = 60\nenv = { A = \"own\" }\nstdout = \"inherit\"");
    let crew = Crew::start("hello", &companions);
    let (mut one, two) = (crew.runs("one"), crew.runs("two"));
    for default in
        ["companion_stop_timeout = 7\n", "companion_env = { A = \"1\" }\n", "companion_stdout = \"out\"\n"]
    {
        crew.configure(&format!("{default}{companions}"));
        assert_eq!(crew.reread(), [vec![], vec![], vec!["one"], vec!["two"]], "{default}");
        one = crew.runs_anew("one", one);
    }
    assert_eq!(crew.runs("two"), two);
    // Environments are merged: this one is for both.
    crew.configure(&format!("companion_env = {{ B = \"1\" }}\n{companions}"));
    assert_eq!(crew.reread(), [vec![], vec![], vec!["one", "two"], vec![]]);
    crew.runs_anew("two", two);
    crew.ends(&["out"]);
}

#[test]
fn what_is_not_of_companions_is_no_difference() {
    let crew = Crew::start("hello", &sleeps("one", ""));
    let before = crew.runs("one");
    for head in [HEAD.replace("workers = 1", "workers = 2"), format!("timeout = 7\nenv = [\"A=1\"]\n{HEAD}")]
    {
        crew.write("gunmetal.toml", &(head + &sleeps("one", "")));
        assert_eq!(crew.reread(), [vec![], vec![], vec![], vec!["one"]]);
    }
    assert_eq!(crew.runs("one"), before);
    crew.http.has_workers(1);
    crew.ends(&[]);
}
