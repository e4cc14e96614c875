use super::*;

const ONE: &str = "[[companion_workers]]\nname = \"one\"\ntarget = \"scheduler\"\n";
const TWO: &str = "[[companion_workers]]\nname = \"two\"\ntarget = \"scheduler\"\n";

fn socket(program: &Program) -> String {
    let read = program.read().unwrap();
    assert_eq!(
        read.control_socket,
        program.at().join(program.sources.resolve(None).unwrap().0.companion_control_socket)
    );
    read.control_socket.strip_prefix(program.at()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn companions_stand_in_the_configuration_file_or_in_their_own() {
    assert_eq!(names(&companions(ONE)), ["one"]);
    assert_eq!(names(&Program::with_both("workers = 2", TWO).read().unwrap().companions), ["two"]);
    // With a file of their own, no function runs that it does not list.
    assert_eq!(names(&Program::with_both("", "").read().unwrap().companions), [""; 0]);
}

#[test]
fn companions_in_both_files_are_refused_with_both_named() {
    assert_eq!(
        Program::with_both(&["workers = 2\n", ONE].concat(), TWO).error(),
        "app.toml:2: companion_workers is not allowed here: companions are configured in companions.toml, which \
         companion_config_file names (--companion-config-file)"
    );
    let program = Program::with("companion_config_file = \"companions.toml\"\ncompanion_stop_timeout = 7");
    program.write("companions.toml", "");
    assert_eq!(
        program.error(),
        "app.toml:2: companion_stop_timeout is not allowed here: companions are configured in companions.toml, which \
         companion_config_file names (app.toml:1)"
    );
}

#[test]
fn a_file_for_companions_has_nothing_else_in_it() {
    let error = |text: &str| Program::with_both("", text).error();
    let known = "the settings are companion_workers, companion_stop_signal, ";
    for name in ["workers", "companion_config_file"] {
        let message = error(&format!("\n{name} = \"x\""));
        let start = format!(
            "companions.toml:2: unknown setting \"{name}\" (it belongs in the configuration file); {known}"
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(message.ends_with(", companion_control_socket"), "{message}");
    }
    let message = error("companion_worker = []");
    assert!(message.contains("\"companion_worker\" (did you mean \"companion_workers\"?)"), "{message}");
    assert!(error("stop_timeout = 5").contains("unknown setting \"stop_timeout\"; the"));
}

#[test]
fn the_socket_may_stand_in_either_file_but_not_in_both() {
    let set = |name: &str| format!("companion_control_socket = \"{name}\"");
    let mut program = Program::with(&set("main.sock"));
    assert_eq!(socket(&program), "main.sock");
    program = Program::with_both(&set("main.sock"), "");
    assert_eq!(socket(&program), "main.sock");
    program = Program::with_both("", &set("own.sock"));
    assert_eq!(socket(&program), "own.sock");
    let printed = program.sources.print().unwrap();
    assert!(printed.contains("companion_control_socket = \"own.sock\"  # companions.toml:1\n"), "{printed}");

    program.flag(Key::CompanionControlSocket, "flag.sock");
    assert_eq!(socket(&program), "flag.sock");

    assert_eq!(
        Program::with_both(&set("main.sock"), &set("own.sock")).error(),
        "app.toml:1: companion_control_socket is not allowed here: companions are configured in companions.toml, which \
         companion_config_file names (--companion-config-file)"
    );
}

#[test]
fn the_file_that_is_named_is_there_and_relative_to_the_working_directory() {
    let mut program = Program::with("chdir = \"app\"\ncompanion_config_file = \"c.toml\"");
    std::fs::create_dir(program.at().join("app")).unwrap();
    assert_eq!(
        program.error(),
        "app.toml:2: companion_config_file = \"c.toml\" is not allowed: /srv/app/c.toml: No such file or directory (os \
         error 2); allowed: the path of a file"
    );
    program.write("app/c.toml", &[ONE, "stdout = \"one.log\""].concat());
    let read = program.read().unwrap();
    let log = gunmetal_arbiter::CompanionOutput::File(program.at().join("app/one.log"));
    assert_eq!(read.companions[0].stdout, log);
    assert_eq!(read.control_socket, program.at().join("app/gunmetal-companion.sock"));

    // A flag goes before the file.
    program.flag(Key::CompanionConfigFile, "d.toml");
    program.write("app/d.toml", TWO);
    assert_eq!(names(&program.read().unwrap().companions), ["two"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_by_a_service_that_runs_and_not_waited_for() {
    let pipe = |program: &Program, name: &str| {
        std::fs::remove_file(program.at().join(name)).unwrap();
        nix::unistd::mkfifo(&program.at().join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    let main = Program::new();
    pipe(&main, "app.toml");
    let dedicated = Program::with_both("", ONE);
    pipe(&dedicated, "companions.toml");
    let own = dedicated.at().join("companions.toml");
    for (program, expected) in [
        (main, "configuration file app.toml cannot be read: it is a pipe and no regular file".to_owned()),
        (
            dedicated,
            format!(
                "--companion-config-file: companion_config_file = \"companions.toml\" is not allowed: {}: it is a pipe \
                 and no regular file; allowed: the path of a file",
                own.display()
            ),
        ),
    ] {
        let reload = program.sources.resolve(Some(program.at())).map(|(_, companions)| companions);
        for error in [reload.unwrap_err(), program.sources.companions(program.at()).unwrap_err()] {
            assert_eq!(crate::http::chain(&error), expected);
        }
    }
}

#[test]
fn the_directory_of_the_socket_is_there_if_there_are_companions() {
    let socket = "\ncompanion_control_socket = \"run/c.sock\"\n";
    let program = Program::with(&[socket, ONE].concat());
    let expected = "app.toml:2: companion_control_socket = \"run/c.sock\" is not allowed: there is no directory /srv/run; \
                    allowed: the path of a unix socket";
    let check = || program.sources.check_control_socket().map_err(|error| error.to_string());
    assert_eq!(check().unwrap_err().replace(program.at().to_str().unwrap(), "/srv"), expected);
    // Something may make it before it is needed.
    assert!(program.read().is_ok());
    std::fs::create_dir(program.at().join("run")).unwrap();
    assert_eq!(check(), Ok(()));
    let nobody = Program::with(&[socket, "companion_workers = []"].concat());
    assert!(nobody.sources.check_control_socket().is_ok());
}

#[test]
fn a_service_that_runs_keeps_its_working_directory() {
    let program = Program::with(&["chdir = \"later\"\ncompanion_stdout = \"a.log\"\n", ONE].concat());
    std::fs::create_dir(program.at().join("later")).unwrap();
    let stdout = |companions: Companions| match &companions.companions[0].stdout {
        gunmetal_arbiter::CompanionOutput::File(path) => path.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(stdout(program.read().unwrap()), program.at().join("later/a.log"));
    let running = program.sources.resolve(Some(program.at())).unwrap().1;
    assert_eq!(stdout(running), program.at().join("a.log"));
}

#[test]
fn the_settings_of_a_service_that_runs_are_read_without_its_companions() {
    let program =
        Program::with("chdir = \"later\"\ncompanion_config_file = \"none.toml\"\nworker_tmp_dir = \"tmp\"");
    for name in ["later", "tmp"] {
        std::fs::create_dir(program.at().join(name)).unwrap();
    }
    assert!(program.read().is_err());
    let settings = program.sources.settings(program.at()).unwrap();
    assert_eq!(settings.chdir, Some(program.at().join("later")));
    // Everything else that is wrong still is.
    program.write("app.toml", "workers = \"x\"");
    assert!(program.sources.settings(program.at()).is_err());
}

#[test]
fn companions_are_read_again_whatever_else_the_configuration_file_says() {
    let program = Program::with(&["workers = \"x\"\nwrokers = 2\nchdir = \"nowhere\"\n", ONE].concat());
    assert!(program.read().is_err());
    assert_eq!(names(&program.sources.companions(program.at()).unwrap().companions), ["one"]);

    // What is said of companions is looked at, and a file that is none has nothing to say of them.
    for (text, words) in [
        ("companion_stop_timout = 7", "app.toml:1: unknown setting \"companion_stop_timout\""),
        ("companion_control_socket = 7", "app.toml:1: companion_control_socket = 7 is not allowed"),
        ("workers = ", "app.toml:1: "),
    ] {
        program.write("app.toml", text);
        let error = program.sources.companions(program.at()).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn of_the_variables_a_reread_looks_at_those_of_companions_only() {
    let mut program = Program::new();
    let variables = [
        ("GUNMETAL_WORKERS", "x"),
        ("GUNMETAL_USER", "no-such-account"),
        ("GUNMETAL_COMPANION_CONFIG_FILE", "v.toml"),
        ("GUNMETAL_COMPANION_CONTROL_SOCKET", "v.sock"),
    ];
    program.sources.variables =
        Variables::from_pairs(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    program.write("v.toml", ONE);
    assert!(program.read().is_err());
    let read = program.sources.companions(program.at()).unwrap();
    assert_eq!(names(&read.companions), ["one"]);
    assert_eq!(read.control_socket, program.at().join("v.sock"));
}

#[test]
fn a_file_of_their_own_can_change_its_name_while_the_service_runs() {
    let program = Program::with("companion_config_file = \"a.toml\"\nworkers = \"x\"");
    program.write("a.toml", ONE);
    program.write("b.toml", TWO);
    let read = || program.sources.companions(program.at()).unwrap().companions;
    assert_eq!(names(&read()), ["one"]);
    program.write("app.toml", "companion_config_file = \"b.toml\"");
    assert_eq!(names(&read()), ["two"]);
}

#[test]
fn a_file_that_the_command_line_names_is_read_again_beside_a_configuration_file_that_is_none() {
    let program = Program::with_both("workers = ", TWO);
    assert!(program.read().is_err());
    assert_eq!(names(&program.sources.companions(program.at()).unwrap().companions), ["two"]);
    // One that can be read still must not speak of companions.
    program.write("app.toml", ONE);
    assert!(program.sources.companions(program.at()).is_err());
}

#[test]
fn what_stands_in_two_files_is_printed_as_one() {
    let program = Program::with_both("workers = 2", &[TWO, "stop_timeout = 7"].concat());
    let printed = program.sources.print().unwrap();
    let line = "\n# companion_config_file = \"companions.toml\" says what follows of companions  # --companion-config-file\n";
    assert!(printed.contains(line), "{printed}");
    let again = Program::with(&printed);
    assert_eq!(again.read().unwrap().companions, program.read().unwrap().companions);
}

#[test]
fn variables_name_file_and_socket() {
    let mut program = Program::new();
    let variables =
        [("GUNMETAL_COMPANION_CONFIG_FILE", "v.toml"), ("GUNMETAL_COMPANION_CONTROL_SOCKET", "v.sock")];
    program.sources.variables =
        Variables::from_pairs(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    program.write("v.toml", ONE);
    assert_eq!(names(&program.read().unwrap().companions), ["one"]);
    assert_eq!(socket(&program), "v.sock");
}
