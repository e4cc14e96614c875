use super::*;

#[test]
fn a_stop_signal_can_end_a_process() {
    for (signal, reason) in [
        ("\"SIGTRM\"", "there is no such signal"),
        ("\"\"", "there is no such signal"),
        ("0", "there is no such signal"),
        ("-9", "there is no such signal"),
        ("4294967305", "there is no such signal"),
        ("\"SIGSTOP\"", "SIGSTOP ends nobody"),
        ("\"CONT\"", "SIGCONT ends nobody"),
        ("20", "SIGTSTP ends nobody"),
        ("\"SIGCHLD\"", "SIGCHLD ends nobody"),
        ("23", "SIGURG ends nobody"),
        ("1.5", "neither a name nor a number"),
    ] {
        let message = error_of(&format!("stop_signal = {signal}"));
        let start = format!(
            "app.toml:4: companion \"a\": stop_signal = {signal} is not allowed: {reason}; allowed: "
        );
        assert!(message.starts_with(&start), "{message}");
        let end = "the name or number of a signal that can end a process, such as SIGTERM, SIGINT, SIGQUIT, SIGHUP, \
                   SIGUSR1, SIGUSR2, SIGWINCH or SIGKILL";
        assert!(message.ends_with(end), "{message}");
    }
}

#[test]
fn times_are_seconds_and_not_negative() {
    assert_eq!(
        Program::with_both(
            "",
            "[[companion_workers]]\nname = \"rq-default\"\ncommand = [\"rq\"]\nstop_timeout = -3"
        )
        .error(),
        "companions.toml:4: companion \"rq-default\": stop_timeout = -3 is not allowed: not from 0 to 31536000 seconds; \
         allowed: seconds, 0 for SIGKILL at once"
    );
    for key in ["stop_timeout", "reload_timeout", "startsecs", "restart_delay", "max_restart_delay"] {
        for (value, reason) in [
            ("-0.5", "not from 0 to 31536000 seconds"),
            ("31536001", "not from 0 to 31536000 seconds"),
            ("nan", "not from 0 to 31536000 seconds"),
            ("\"soon\"", "not a number"),
            ("true", "not a number"),
        ] {
            let message = error_of(&format!("{key} = {value}"));
            assert!(message.contains(&format!(" is not allowed: {reason}; allowed: seconds")), "{message}");
            let message = error(&format!("companion_{key} = {value}"));
            let start = format!("app.toml:1: companion_{key} = ");
            assert!(message.starts_with(&start) && message.contains(reason), "{message}");
        }
    }
    for key in ["companion_manager_shutdown_buffer", "companion_manager_stop_timeout"] {
        assert_eq!(
            error(&format!("{key} = -1")),
            format!(
                "app.toml:1: {key} = -1 is not allowed: not from 0 to 31536000 seconds; allowed: seconds"
            )
        );
    }
}

#[test]
fn standard_output_goes_to_a_file_or_nowhere_else() {
    for (value, reason) in [
        ("\"stdout\"", "it is standard output itself"),
        ("\"stderr\"", "outputs go to files or where stdout goes"),
        ("\"\"", "the path is empty"),
        ("\"a\\u0000\"", "a path holds no zero byte"),
        ("\".\"", "/srv/. is a directory"),
        ("\"log/a.log\"", "there is no directory /srv/log"),
        ("7", "not a string"),
        ("\"/dev/stdout\"", "in each process that is something else; write \"inherit\""),
    ] {
        let message = error_of(&format!("stdout = {value}"));
        let start = "app.toml:4: companion \"a\": stdout = ";
        let end = format!(" is not allowed: {reason}; allowed: \"inherit\" or the path of a file");
        assert!(message.starts_with(start) && message.ends_with(&end), "{message}");
        assert!(error(&format!("companion_stdout = {value}")).ends_with(&end));
    }
}

#[test]
fn what_is_something_else_in_each_process_is_no_file_to_write_to() {
    let program = Program::new();
    std::os::unix::fs::symlink("/dev/stdout", program.at().join("app.log")).unwrap();
    nix::unistd::mkfifo(&program.at().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let read = |key: &str, path: &str| {
        let table =
            format!("companion_workers = [{{ name = \"a\", command = [\"x\"], {key} = \"{path}\" }}]");
        program.write("app.toml", &table);
        program.read().map(|_| ()).map_err(|error| error.to_string())
    };
    for path in [
        "/dev/stdout",
        "/dev/stderr",
        "/dev/tty",
        "/dev/fd/1",
        "/dev/./stderr",
        "//dev/../dev/tty",
        "/proc/self/fd/2",
        "/proc/1/fd/2",
        "app.log",
    ] {
        for (key, instead) in [("stdout", "\"inherit\""), ("stderr", "\"inherit\" or \"stdout\"")] {
            let message = read(key, path).unwrap_err();
            let words = format!(
                "{key} = {path:?} is not allowed: in each process that is something else; write {instead}; "
            );
            assert!(message.contains(&words), "{message}");
        }
    }
    for path in ["/dev/null", "pipe", "a.log", "fd"] {
        assert_eq!(read("stdout", path), Ok(()), "{path}");
    }
}

#[test]
fn standard_error_goes_to_a_file_or_where_standard_output_goes() {
    for (value, reason) in
        [("\"stderr\"", "outputs go to files or where stdout goes"), ("\"\"", "the path is empty")]
    {
        assert_eq!(
            error_of(&format!("stderr = {value}")),
            format!(
                "app.toml:4: companion \"a\": stderr = {value} is not allowed: {reason}; allowed: \"inherit\", \"stdout\" \
                 or the path of a file"
            )
        );
    }
}

#[test]
fn a_working_directory_is_there() {
    let program =
        Program::with("companion_workers = [{ name = \"a\", command = [\"x\"], cwd = \"app.toml\" }]");
    assert_eq!(
        program.error(),
        "app.toml:1: companion \"a\": cwd = \"app.toml\" is not allowed: /srv/app.toml is not a directory; allowed: the \
         path of a directory"
    );
    assert_eq!(
        error("companion_cwd = \"nowhere\""),
        "app.toml:1: companion_cwd = \"nowhere\" is not allowed: /srv/nowhere: No such file or directory (os error 2); \
         allowed: the path of a directory"
    );
    assert!(error_of("cwd = \"\"").contains("the path is empty"));
}

#[test]
fn an_environment_is_a_table_of_texts_that_it_can_hold() {
    for (value, reason) in [
        ("{ QUEUES = 3 }", "QUEUES = 3 is not a string"),
        ("{ \"A=B\" = \"1\" }", "\"A=B\" cannot be set: no name holds =, nothing holds a zero byte"),
        ("{ A = \"\\u0000\" }", "\"A\" cannot be set: no name holds =, nothing holds a zero byte"),
        ("{ \"\" = \"1\" }", "\"=1\" has no name"),
        ("[\"A=1\"]", "not a table"),
        ("\"A=1\"", "not a table"),
    ] {
        let message = error_of(&format!("env = {value}"));
        let end = format!(" is not allowed: {reason}; allowed: a table of strings");
        assert!(message.starts_with("app.toml:4: companion \"a\": env = "), "{message}");
        assert!(message.ends_with(&end), "{message}");
        assert!(error(&format!("companion_env = {value}")).ends_with(&end));
    }
}

#[test]
fn limits_are_counts_and_sizes() {
    assert_eq!(
        error_of("restart_limit = -1"),
        "app.toml:4: companion \"a\": restart_limit = -1 is not allowed: not a whole number in range; allowed: a whole \
         number, 0 for no limit"
    );
    assert_eq!(
        error_of("max_rss = \"5 apples\""),
        "app.toml:4: companion \"a\": max_rss = \"5 apples\" is not allowed: \"APPLES\" is no unit of memory; allowed: \
         bytes, or a number with K, M, G or T, 0 for no limit"
    );
    assert_eq!(
        error_of("autostart = 1"),
        "app.toml:4: companion \"a\": autostart = 1 is not allowed: neither true nor false; allowed: true or false"
    );
}

#[test]
fn a_delay_that_grows_ends_no_earlier_than_it_begins() {
    assert_eq!(
        error("companion_max_restart_delay = 2.5\n[[companion_workers]]\nname = \"a\"\ncommand = [\"x\"]\n"),
        "app.toml:1: companion \"a\": max_restart_delay = 2.5 is not allowed: less than restart_delay, which is 5 \
         (default); allowed: seconds, no fewer than `restart_delay`; 0 for always `restart_delay`"
    );
    assert!(error_of("restart_delay = 3\nmax_restart_delay = 2").contains("which is 3 (app.toml:4)"));
}

#[test]
fn the_socket_is_its_owners_at_least() {
    for (value, reason) in [
        ("600", "more than 0o777; octal numbers begin with 0o"),
        ("0o1600", "more than 0o777; octal numbers begin with 0o"),
        ("\"1777\"", "more than 0o777; octal numbers begin with 0o"),
        ("0o400", "it locks out the owner"),
        ("0o266", "it locks out the owner"),
        ("\"060\"", "it locks out the owner"),
        ("\"0x180\"", "not permissions"),
        ("\"+600\"", "not permissions"),
        ("\"rw\"", "not permissions"),
        ("\"\"", "not permissions"),
        ("-1", "not permissions"),
        ("true", "neither a number nor a text"),
    ] {
        let message = error(&format!("companion_control_socket_mode = {value}"));
        let end = format!(
            " is not allowed: {reason}; allowed: permissions from 0o600 to 0o777, as 0o600 or \"600\", of which the owner's \
             are rw"
        );
        assert!(message.starts_with("app.toml:1: companion_control_socket_mode = "), "{message}");
        assert!(message.ends_with(&end), "{message}");
    }
}
