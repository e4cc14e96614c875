use super::*;

#[test]
fn a_key_that_there_is_not_is_named_with_the_nearest_and_all_there_are() {
    assert_eq!(
        error_of("stop_timout = 5"),
        "app.toml:4: companion \"a\": unknown key \"stop_timout\" (did you mean \"stop_timeout\"?); the keys are name, \
         target, command, stop_signal, stop_as_group, kill_as_group, stop_timeout, reload_timeout, stdout, stderr, cwd, env, \
         startsecs, restart_delay, max_restart_delay, restart_limit, max_rss, depends_on, autostart"
    );
}

#[test]
fn a_key_for_all_companions_that_there_is_not_is_named_with_the_nearest() {
    let message = error("workers = 2\ncompanion_stop_timout = 5");
    assert!(
        message.starts_with(
            "app.toml:2: unknown setting \"companion_stop_timout\" (did you mean \"companion_stop_timeout\"?); the settings \
             are companion_workers, companion_stop_signal, "
        ),
        "{message}"
    );
    // What only one companion can be told is not for all.
    assert!(error("companion_depends_on = []").contains("unknown setting \"companion_depends_on\""));
}

#[test]
fn a_name_is_required() {
    assert_eq!(
        error("\n[[companion_workers]]\ntarget = \"scheduler\"\n"),
        "app.toml:2: companion 1: name is missing; allowed: name = 1 to 100 bytes without blanks, control characters, *, ? \
         and [; not \"all\", no - in front"
    );
}

#[test]
fn a_target_or_a_command_is_required_and_not_both() {
    let allowed = "allowed: target = the name of a function that the program has registered, or command = a list of \
                   texts, the program first";
    assert_eq!(
        error("[[companion_workers]]\nname = \"a\"\n"),
        format!("app.toml:1: companion \"a\": target or command is missing; {allowed}")
    );
    assert_eq!(
        error_of("target = \"scheduler\""),
        format!("app.toml:1: companion \"a\": target and command are both given; {allowed}")
    );
}

#[test]
fn a_name_can_be_written_in_a_command_and_read_in_a_list() {
    let long = "ä".repeat(51);
    for (name, reason) in [
        ("", "it is empty"),
        ("all", "in commands it means all companions"),
        ("-v", "commands would take it for an option"),
        ("a b", "' ' would tear it apart in lists and lines"),
        ("a\\tb", "'\\t' would tear it apart in lists and lines"),
        ("a\\u00a0b", "'\\u{a0}' would tear it apart in lists and lines"),
        ("a\\u0007", "'\\u{7}' would tear it apart in lists and lines"),
        ("rq-*", "in commands * stands for parts of names"),
        ("rq-?", "in commands ? stands for parts of names"),
        ("rq-[1]", "in commands [ stands for parts of names"),
        (&long, "it has 102 bytes"),
    ] {
        let message = error(&format!("[[companion_workers]]\nname = \"{name}\"\ntarget = \"scheduler\"\n"));
        let start = "app.toml:2: companion \"";
        let end = format!(
            " is not allowed: {reason}; allowed: 1 to 100 bytes without blanks, control characters, *, ? and [; not \"all\", no - in front"
        );
        assert!(message.starts_with(start) && message.ends_with(&end), "{message}");
    }
    let longest = "ä".repeat(50);
    for name in [&longest, "All", "rq-default", "jobs:1", "größe"] {
        let text = format!("[[companion_workers]]\nname = \"{name}\"\ntarget = \"scheduler\"\n");
        assert_eq!(names(&companions(&text)), [name]);
    }
}

#[test]
fn a_name_is_a_text() {
    assert_eq!(
        error("companion_workers = [{ target = \"scheduler\" , name = 7 }]"),
        "app.toml:1: companion 1: name = 7 is not allowed: not a string; allowed: 1 to 100 bytes without blanks, control \
         characters, *, ? and [; not \"all\", no - in front"
    );
}

#[test]
fn a_name_is_given_once() {
    assert_eq!(
        error(
            "[[companion_workers]]\nname = \"rq\"\ncommand = [\"true\"]\n\n[[companion_workers]]\ncommand = [\"true\"]\n\
             name = \"rq\"\n"
        ),
        "app.toml:7: companion \"rq\": name = \"rq\" is not allowed: it is taken (app.toml:2); allowed: 1 to 100 bytes \
         without blanks, control characters, *, ? and [; not \"all\", no - in front"
    );
}

#[test]
fn a_target_is_a_function_that_is_registered() {
    let error_of = |target: &str| error(&format!("[[companion_workers]]\nname = \"a\"\ntarget = {target}"));
    assert_eq!(
        error_of("\"schedulr\""),
        "app.toml:3: companion \"a\": target = \"schedulr\" is not allowed: not registered (did you mean \"scheduler\"?); \
         registered: scheduler, jobs:mailer; allowed: the name of a function that the program has registered"
    );
    assert!(error_of("\"mailer\"").contains("not registered; registered: scheduler, jobs:mailer;"));
    assert!(error_of("[\"scheduler\"]").contains("target = [\"scheduler\"] is not allowed: not a string;"));
    let mut program = Program::with("[[companion_workers]]\nname = \"a\"\ntarget = \"b\"");
    program.sources.functions = Functions::default();
    assert!(program.error().contains("not registered; registered: no function;"), "{}", program.error());
}

#[test]
fn a_command_is_a_list_with_a_program_in_it() {
    for (command, reason) in [
        ("\"node  server.js\"", "no shell would take it apart, write [\"node\", \"server.js\"]"),
        ("[]", "the list is empty"),
        ("[\"\", \"x\"]", "the program has no name"),
        ("[\"a\", 7]", "7 is not a string"),
        ("[\"a\", \"\\u0000\"]", "\"\\0\" holds a zero byte"),
        ("true", "not a list"),
    ] {
        let message = error(&format!("[[companion_workers]]\nname = \"a\"\ncommand = {command}\n"));
        assert!(message.starts_with("app.toml:3: companion \"a\": command = "), "{message}");
        let end = format!(" is not allowed: {reason}; allowed: a list of texts, the program first");
        assert!(message.ends_with(&end), "{message}");
    }
    assert_eq!(names(&companions("companion_workers = [{ name = \"a\", command = [\"x\", \"\"] }]")), ["a"]);
}

#[test]
fn dependencies_are_names_of_companions() {
    let text = "[[companion_workers]]\nname = \"rq\"\ncommand = [\"x\"]\n[[companion_workers]]\nname = \"web\"\n\
                command = [\"x\"]\ndepends_on = ";
    let allowed = "allowed: a list of names of other companions";
    for (value, reason) in [
        ("\"rq\"", "not a list"),
        ("[7]", "7 is not a string"),
        ("[\"rq\", \"wb\"]", "there is no companion \"wb\" (did you mean \"web\"?); there are rq, web"),
        ("[\"web\"]", "it would never start: web waits for web"),
    ] {
        assert_eq!(
            error(&format!("{text}{value}")),
            format!(
                "app.toml:7: companion \"web\": depends_on = {value} is not allowed: {reason}; {allowed}"
            )
        );
    }
}

#[test]
fn a_circle_of_dependencies_is_shown_from_end_to_end() {
    let table = |name: &str, depends_on: &str| {
        format!("[[companion_workers]]\nname = \"{name}\"\ncommand = [\"x\"]\ndepends_on = {depends_on}\n")
    };
    let text = [
        table("outside", "[\"b\"]"),
        table("a", "[]"),
        table("b", "[\"a\", \"c\"]"),
        table("c", "[\"a\", \"d\"]"),
        table("d", "[\"b\"]"),
    ]
    .concat();
    assert_eq!(
        error(&text),
        "app.toml:12: companion \"b\": depends_on = [\"a\", \"c\"] is not allowed: it would never start: b waits for c, \
         c waits for d, d waits for b; allowed: a list of names of other companions"
    );
    // Two ways to one companion are no circle.
    let diamond =
        [table("a", "[\"b\", \"c\"]"), table("b", "[\"d\"]"), table("c", "[\"d\"]"), table("d", "[]")];
    assert_eq!(names(&companions(&diamond.concat())), ["a", "b", "c", "d"]);
}

#[test]
fn the_list_is_a_list_of_tables() {
    let allowed = "allowed: a list of tables, one for each companion";
    for (text, reason) in [
        ("companion_workers = \"scheduler\"", "not a list"),
        ("companion_workers = [\"scheduler\"]", "\"scheduler\" is not a table"),
        ("[companion_workers]\nname = \"a\"", "a single table, write [[companion_workers]]"),
    ] {
        let message = error(text);
        assert!(message.starts_with("app.toml:1: companion_workers = "), "{message}");
        assert!(message.ends_with(&format!(" is not allowed: {reason}; {allowed}")), "{message}");
    }
}

#[test]
fn the_path_of_the_socket_is_one_that_the_kernel_takes() {
    let long = "s".repeat(108);
    let mut program = Program::new();
    program.flag(Key::CompanionControlSocket, &long);
    assert_eq!(
        program.error(),
        format!(
            "--companion-control-socket: companion_control_socket = \"{long}\" is not allowed: /srv/{long} is longer than \
             107 bytes; allowed: the path of a unix socket"
        )
    );
    // Nobody would listen there.
    program.sources.functions = Functions::default();
    assert!(program.read().is_ok());
}

#[test]
fn functions_that_nobody_has_listed_need_names_of_their_own() {
    let mut program = Program::new();
    program.sources.functions.register("reports:mailer", blocking(|_| ())).unwrap();
    assert!(
        program.error().starts_with(
            "set by the program: companion \"mailer\": name = \"mailer\" is not allowed: it is taken (set by the program)"
        ),
        "{}",
        program.error()
    );
    program.write("app.toml", "companion_workers = []");
    assert!(program.read().is_ok());
}
