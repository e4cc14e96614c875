use std::collections::BTreeMap;
use std::path::PathBuf;

use gunmetal_arbiter::{CompanionOutput, CompanionTarget};
use gunmetal_supervise::Signal;

use super::*;

#[test]
fn without_a_list_every_function_is_a_companion_that_is_called_by_its_last_part() {
    let companions = companions("companion_stop_timeout = 7");
    assert_eq!(names(&companions), ["scheduler", "mailer"]);
    for (companion, target) in companions.iter().zip(["scheduler", "jobs:mailer"]) {
        assert!(matches!(&companion.target, CompanionTarget::Function { name, .. } if name == target));
        assert_eq!(companion.stop_timeout, Duration::from_secs(7));
    }
}

#[test]
fn with_a_list_only_what_it_names_runs_even_if_that_is_nothing() {
    assert_eq!(names(&companions("companion_workers = []")), [""; 0]);
    let two = "companion_workers = [{ name = \"b\", target = \"scheduler\" }, { name = \"a\", target = \"scheduler\" }]";
    assert_eq!(names(&companions(two)), ["b", "a"]);
}

#[test]
fn the_defaults_are_the_references() {
    let program = Program::with("companion_workers = [{ name = \"a\", command = [\"rq\", \"worker\"] }]");
    let Companions { companions, control_socket, manager, .. } = program.read().unwrap();
    let expected = CompanionConfig {
        name: "a".into(),
        target: CompanionTarget::Command(vec!["rq".into(), "worker".into()]),
        cwd: None,
        env: BTreeMap::new(),
        stop_signal: Signal::SIGTERM,
        stop_as_group: false,
        kill_as_group: false,
        stop_timeout: Duration::from_secs(60),
        reload_timeout: Duration::from_secs(60),
        startsecs: Duration::from_secs(1),
        restart_delay: Duration::from_secs(5),
        max_restart_delay: None,
        restart_limit: None,
        max_rss: None,
        depends_on: Vec::new(),
        autostart: true,
        stdout: CompanionOutput::Inherit,
        stderr: CompanionOutput::Inherit,
    };
    assert_eq!(companions, [expected]);
    assert_eq!(control_socket, program.at().join("gunmetal-companion.sock"));
    assert_eq!(manager.control_socket_mode(), 0o600);
    assert_eq!((manager.shutdown_buffer(), manager.stop_timeout()), (Duration::from_secs(10), None));
}

/// Every key has a value here that is not its default.
const SHARED: &str = r#"
companion_stop_signal = "INT"
companion_stop_as_group = true
companion_kill_as_group = true
companion_stop_timeout = 0
companion_reload_timeout = 2.5
companion_stdout = "out.log"
companion_stderr = "stdout"
companion_cwd = "."
companion_env = { QUEUE = "default", MODE = "test" }
companion_startsecs = 0
companion_restart_delay = 1
companion_max_restart_delay = "64"
companion_restart_limit = 3
companion_max_rss = "512M"
companion_manager_shutdown_buffer = 4
companion_manager_stop_timeout = 90
companion_control_socket_mode = 0o660
"#;

const OWN: &str = r#"
[[companion_workers]]
name = "own"
target = "jobs:mailer"
stop_signal = 9
stop_as_group = false
kill_as_group = false
stop_timeout = 300
reload_timeout = 0
stdout = "inherit"
stderr = "err.log"
cwd = "/"
startsecs = 2
restart_delay = 6
max_restart_delay = 0
restart_limit = 0
max_rss = 0
depends_on = ["shared", "shared"]
autostart = false
[companion_workers.env]
QUEUE = "long, \"very\""

[[companion_workers]]
name = "shared"
command = ["sleep", ""]
"#;

#[test]
fn what_is_said_of_all_companions_holds_for_those_that_say_nothing_else() {
    let program = Program::with(&[SHARED, OWN].concat());
    let Companions { companions, manager, .. } = program.read().unwrap();
    let [own, shared] = &companions[..] else { panic!("{companions:?}") };
    let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };

    let expected = CompanionConfig {
        name: "shared".into(),
        target: CompanionTarget::Command(vec!["sleep".into(), String::new()]),
        cwd: Some(program.at().join(".")),
        env: env(&[("QUEUE", "default"), ("MODE", "test")]),
        stop_signal: Signal::SIGINT,
        stop_as_group: true,
        kill_as_group: true,
        stop_timeout: Duration::ZERO,
        reload_timeout: Duration::from_millis(2500),
        startsecs: Duration::ZERO,
        restart_delay: Duration::from_secs(1),
        max_restart_delay: Some(Duration::from_secs(64)),
        restart_limit: Some(3),
        max_rss: Some(512 << 20),
        depends_on: Vec::new(),
        autostart: true,
        stdout: CompanionOutput::File(program.at().join("out.log")),
        stderr: CompanionOutput::Stdout,
    };
    assert_eq!(*shared, expected);

    let expected = CompanionConfig {
        name: "own".into(),
        target: own.target.clone(),
        cwd: Some(PathBuf::from("/")),
        // The only thing that is merged.
        env: env(&[("QUEUE", "long, \"very\""), ("MODE", "test")]),
        stop_signal: Signal::SIGKILL,
        stop_as_group: false,
        kill_as_group: false,
        stop_timeout: Duration::from_secs(300),
        reload_timeout: Duration::ZERO,
        startsecs: Duration::from_secs(2),
        restart_delay: Duration::from_secs(6),
        max_restart_delay: None,
        restart_limit: None,
        max_rss: None,
        depends_on: vec!["shared".into()],
        autostart: false,
        stdout: CompanionOutput::Inherit,
        stderr: CompanionOutput::File(program.at().join("err.log")),
    };
    assert_eq!(*own, expected);
    assert!(matches!(&own.target, CompanionTarget::Function { name, .. } if name == "jobs:mailer"));

    assert_eq!(manager.control_socket_mode(), 0o660);
    assert_eq!(manager.shutdown_buffer(), Duration::from_secs(4));
    assert_eq!(manager.stop_timeout(), Some(Duration::from_secs(90)));
}

#[test]
fn a_signal_has_a_name_a_short_one_and_a_number() {
    for text in ["\"SIGUSR2\"", "\"USR2\"", "\"usr2\"", "12", "\"12\""] {
        let text =
            format!("companion_workers = [{{ name = \"a\", command = [\"x\"], stop_signal = {text} }}]");
        assert_eq!(companions(&text)[0].stop_signal, Signal::SIGUSR2, "{text}");
    }
}

#[test]
fn a_mode_is_octal_as_a_number_and_as_a_text() {
    for (text, mode) in [
        ("0o600", 0o600),
        ("\"600\"", 0o600),
        ("\"0600\"", 0o600),
        ("\"0o660\"", 0o660),
        ("0o777", 0o777),
        ("384", 0o600),
    ] {
        let read = Program::with(&format!("companion_control_socket_mode = {text}")).read().unwrap();
        assert_eq!(read.manager.control_socket_mode(), mode, "{text}");
    }
}

#[test]
fn the_same_text_is_the_same_companion_and_every_change_in_it_another() {
    let program = Program::with(&[SHARED, OWN].concat());
    let read = || program.sources.companions(program.at()).unwrap().companions;
    let before = read();
    assert_eq!(read(), before);
    // Neither order nor words around it matter.
    program.write("app.toml", &["# edited\nworkers = 3\n", SHARED, OWN].concat());
    assert_eq!(read(), before);

    let mut changed = 0;
    for line in OWN.lines().filter(|line| line.contains(" = ")).take(18) {
        let (key, value) = line.split_once(" = ").unwrap();
        let other = match key {
            "name" | "QUEUE" => "\"other\"",
            "target" => "\"scheduler\"",
            "stop_signal" => "15",
            "stdout" | "stderr" => "\"other.log\"",
            "cwd" => "\".\"",
            "max_rss" => "\"1G\"",
            "depends_on" => "[]",
            "autostart" | "stop_as_group" | "kill_as_group" => "true",
            _ => "7",
        };
        program.write("app.toml", &[SHARED, &OWN.replacen(line, &format!("{key} = {other}"), 1)].concat());
        let now = read();
        assert_ne!(now[0], before[0], "{key} = {value} became {other}");
        assert_eq!(now[1], before[1], "{key}");
        changed += 1;
    }
    assert_eq!(changed, super::super::keys::of_companion().count() - 1, "target stands for command");
}

#[test]
fn what_is_said_of_all_companions_changes_each_that_says_nothing_else() {
    let program = Program::with(&[SHARED, OWN].concat());
    let read = || program.sources.companions(program.at()).unwrap().companions;
    let before = read();
    program.write("app.toml", &[&SHARED.replace("_timeout = 0\n", "_timeout = 1\n"), OWN].concat());
    assert_eq!(read()[0], before[0]);
    assert_ne!(read()[1], before[1]);
}

#[test]
fn what_is_printed_is_read_again_as_the_same_companions() {
    for text in [&[SHARED, OWN].concat(), OWN, SHARED, "", "companion_workers = []"] {
        let program = Program::with(text);
        let first = program.read().unwrap();
        let printed = program.sources.print().unwrap();
        program.write("app.toml", &printed);
        let second = program.read().unwrap_or_else(|error| panic!("{error} in\n{printed}"));
        assert_eq!(second.companions, first.companions, "{printed}");
        assert_eq!(second.manager.changed(&first.manager), [""; 0], "{printed}");
        assert_eq!(second.control_socket, first.control_socket);
    }
}

#[test]
fn what_is_printed_has_every_key_and_says_where_it_came_from() {
    let program = Program::with(&[SHARED, OWN].concat());
    let printed = program.sources.print().unwrap();
    for field in super::super::keys::of_all() {
        let there = [format!("\ncompanion_{} = ", field.name), format!("\n[[companion_{}]]", field.name)];
        assert!(there.iter().any(|line| printed.contains(line)), "{} in\n{printed}", field.name);
    }
    for field in super::super::keys::of_companion() {
        assert!(printed.contains(&format!("\n{} = ", field.name)), "{} in\n{printed}", field.name);
    }
    for line in [
        "\ncompanion_reload_timeout = 2.5  # app.toml:6\n",
        "\ncompanion_control_socket_mode = \"0660\"  # app.toml:18\n",
        "\n[[companion_workers]]  # app.toml:20\nname = \"own\"\ntarget = \"jobs:mailer\"\nstop_signal = \"SIGKILL\"\n",
        "\nenv = { MODE = \"test\", QUEUE = \"default\" }\n",
        "\ncommand = [\"sleep\", \"\"]\n",
    ] {
        assert!(printed.contains(line), "{line:?} in\n{printed}");
    }
    let printed = Program::with("").sources.print().unwrap();
    assert!(printed.contains("\n[[companion_workers]]  # set by the program\nname = \"scheduler\"\n"));
    assert!(printed.contains("\ncompanion_manager_shutdown_buffer = 10  # default\n"), "{printed}");
}
