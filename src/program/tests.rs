use std::path::Path;

use gunmetal_arbiter::NoHooks;

use super::*;
use crate::companion::{Functions, blocking};
use crate::settings::{Layer, Variables};

/// A program with these functions, whose configuration file is `app.toml` in `directory`.
fn program(directory: &Path, functions: &[&str], text: &str) -> Rc<Program> {
    std::fs::write(directory.join("app.toml"), text).unwrap();
    let mut registered = Functions::default();
    for name in functions {
        registered.register(name, blocking(|_| ())).unwrap();
    }
    Rc::new(Program {
        registry: AppRegistry::default(),
        http: None,
        hooks: Arc::new(NoHooks),
        loaders: Arc::default(),
        sources: Sources {
            flags: Layer::default(),
            config: Some("app.toml".into()),
            program: Layer::default(),
            variables: Variables::default(),
            registered: Vec::new(),
            functions: registered,
            directory: directory.to_owned(),
        },
        environment: BTreeMap::new().into(),
    })
}

/// What its master runs.
fn config(program: &Rc<Program>) -> MasterConfig {
    let (settings, companions) = program.settings().unwrap();
    program.master_config(settings, companions).unwrap()
}

#[test]
fn there_is_a_manager_if_there_is_something_to_run_or_a_file_that_may_say_so() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("empty.toml"), "").unwrap();
    for (functions, text, count) in [
        (&[][..], "", None),
        (&["scheduler"], "", Some(1)),
        (&["scheduler"], "companion_workers = []", None),
        (&[], "companion_workers = [{ name = \"a\", command = [\"x\"] }]", Some(1)),
        (&["scheduler"], "companion_config_file = \"empty.toml\"", Some(0)),
    ] {
        let config = config(&program(directory.path(), functions, text));
        assert_eq!(config.companions.map(|companions| companions.companions.len()), count, "{text:?}");
    }
}

#[test]
fn the_manager_gets_what_is_said_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let text = "companion_control_socket = \"c.sock\"\ncompanion_control_socket_mode = 0o660\n\
                companion_manager_shutdown_buffer = 3\ncompanion_manager_stop_timeout = 4\nproc_name = \"shop\"\n";
    let config = config(&program(directory.path(), &["scheduler"], text)).companions.unwrap();
    assert_eq!(config.control_socket, directory.path().join("c.sock"));
    assert_eq!(config.control_socket_mode, 0o660);
    assert_eq!((config.shutdown_buffer.as_secs(), config.manager_stop_timeout.unwrap().as_secs()), (3, 4));
    assert_eq!(config.processes.name.as_deref(), Some("shop"));
}

#[test]
fn the_manager_reads_its_companions_again_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &["scheduler"], "");
    let config = config(&program).companions.unwrap();
    assert_eq!((config.reread)().unwrap(), config.companions);

    let table = "[[companion_workers]]\nname = \"a\"\ntarget = \"scheduler\"\n";
    std::fs::write(directory.path().join("app.toml"), format!("workers = \"x\"\n{table}")).unwrap();
    let now = (config.reread)().unwrap();
    assert_eq!((now.len(), now[0].name.as_str()), (1, "a"));

    std::fs::write(directory.path().join("app.toml"), format!("{table}stop_signal = 0")).unwrap();
    let words = (config.reread)().unwrap_err();
    assert!(words.starts_with("app.toml:4: companion \"a\": stop_signal = 0 is not allowed"), "{words}");

    // Causes included.
    std::fs::remove_file(directory.path().join("app.toml")).unwrap();
    let words = (config.reread)().unwrap_err();
    assert_eq!(words, "configuration file app.toml cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_reload_with_companions_that_are_not_allowed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &["scheduler"], "");
    let (running, _) = program.settings().unwrap();
    assert!(program.reread(&running).is_ok());
    std::fs::write(directory.path().join("app.toml"), "companion_startsecs = -1").unwrap();
    let words = program.reread(&running).err().unwrap();
    assert!(words.starts_with("app.toml:1: companion_startsecs = -1 is not allowed"), "{words}");
}

#[test]
fn a_reload_leaves_companions_in_the_working_directory_that_the_service_has() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("later")).unwrap();
    let program = program(directory.path(), &["scheduler"], "");
    let (running, _) = program.settings().unwrap();
    std::fs::write(directory.path().join("app.toml"), "chdir = \"later\"\ncompanion_cwd = \".\"").unwrap();
    let config = program.reread(&running).unwrap().companions.unwrap();
    assert_eq!(config.companions[0].cwd, Some(directory.path().join(".")));
    assert_eq!(config.control_socket, directory.path().join("gunmetal-companion.sock"));
    assert_eq!((config.reread)().unwrap(), config.companions);
}

#[test]
fn a_socket_that_moves_is_said_to_move_with_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path(), &["scheduler"], "");
    let (running, _) = program.settings().unwrap();
    let text = "companion_control_socket = \"other.sock\"\ncompanion_config_file = \"c.toml\"";
    std::fs::write(directory.path().join("app.toml"), text).unwrap();
    std::fs::write(directory.path().join("c.toml"), "").unwrap();
    assert_eq!(running.fixed_but_changed(&program.settings().unwrap().0), ["companion_control_socket"]);
    let config = program.reread(&running).unwrap().companions.unwrap();
    assert_eq!(config.control_socket, directory.path().join("gunmetal-companion.sock"));
}
