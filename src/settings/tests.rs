use std::path::Path;

use super::*;
use crate::companion::Functions;

fn layer(workers: i64, origin: Origin) -> Layer {
    let mut layer = Layer::default();
    layer.set(Key::Workers, &Raw::Integer(workers), origin).unwrap();
    layer
}

impl Sources {
    fn at_start(&self) -> Result<Settings, SettingsError> {
        Ok(self.resolve(None)?.0)
    }
}

fn resolve(
    flags: Layer,
    file: Option<&str>,
    program: Layer,
    variables: &[(&str, &str)],
) -> Result<Settings, SettingsError> {
    let directory = tempfile::tempdir().unwrap();
    sources(directory.path(), flags, file, program, variables).at_start()
}

/// Sources whose file, if there is one, is `app.toml` in `directory`.
fn sources(
    directory: &Path,
    flags: Layer,
    file: Option<&str>,
    program: Layer,
    variables: &[(&str, &str)],
) -> Sources {
    if let Some(text) = file {
        std::fs::write(directory.join("app.toml"), text).unwrap();
    }
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sources {
        flags,
        config: file.map(|_| "app.toml".into()),
        program,
        variables: Variables::from_pairs(variables),
        registered: vec!["images:ImageApp".into(), "text:TextApp".into()],
        functions: Functions::default(),
        directory: directory.to_owned(),
    }
}

/// The settings of a file, and nothing else.
fn of_file(text: &str) -> Result<Settings, String> {
    resolve(Layer::default(), Some(text), Layer::default(), &[]).map_err(|error| error.to_string())
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_program_beats_the_default() {
    let flag = || layer(1, Origin::Flag(Key::Workers));
    let variable: &[(&str, &str)] = &[("GUNMETAL_WORKERS", "2")];
    let file = Some("workers = 3");
    let program = || layer(4, Origin::Program);
    let workers = |settings: Result<Settings, _>| settings.unwrap().workers;
    assert_eq!(workers(resolve(flag(), file, program(), variable)), 1);
    assert_eq!(workers(resolve(Layer::default(), file, program(), variable)), 2);
    assert_eq!(workers(resolve(Layer::default(), file, program(), &[])), 3);
    assert_eq!(workers(resolve(Layer::default(), None, program(), &[])), 4);
    assert_eq!(workers(resolve(Layer::default(), None, Layer::default(), &[])), 1);
}

#[test]
fn the_defaults_are_gunicorns_but_for_keepalive() {
    let settings = resolve(Layer::default(), Some(""), Layer::default(), &[]).unwrap();
    assert_eq!(settings.bind[0].to_string(), "127.0.0.1:8000");
    assert_eq!(settings.timeout, Some(Duration::from_secs(30)));
    assert_eq!(settings.graceful_timeout, Duration::from_secs(30));
    assert_eq!(settings.keepalive, Some(Duration::from_secs(75)));
    assert_eq!(settings.dirty_timeout, Some(Duration::from_secs(300)));
    assert_eq!(settings.dirty_threads, 1);
    assert_eq!(settings.dirty_graceful_timeout, Duration::from_secs(30));
    assert_eq!((settings.dirty_workers, &settings.dirty_apps), (None, &None));
    assert_eq!((settings.backlog, settings.worker_connections), (2048, 1000));
    assert_eq!((settings.max_requests, settings.max_requests_jitter), (None, 0));
    assert_eq!((settings.reuse_port, settings.preload_app, settings.daemon), (false, false, false));
    assert_eq!(
        (&settings.pidfile, &settings.user, &settings.group, settings.umask),
        (&None, &None, &None, 0)
    );
    assert_eq!((settings.errorlog, settings.loglevel), (None, LogLevel::Info));
}

#[test]
fn a_timeout_of_zero_is_none() {
    let settings = resolve(
        Layer::default(),
        Some("timeout = 0\ndirty_timeout = 0\nkeepalive = 0"),
        Layer::default(),
        &[],
    )
    .unwrap();
    assert_eq!((settings.timeout, settings.dirty_timeout, settings.keepalive), (None, None, None));
}

#[test]
fn an_app_that_is_not_registered_is_named_with_its_place_and_those_that_are() {
    let file = "workers = 1\ndirty_apps = [\"images:ImageAp:2\"]";
    let message = resolve(Layer::default(), Some(file), Layer::default(), &[]).unwrap_err().to_string();
    assert!(message.contains("app.toml:2: dirty_apps names \"images:ImageAp\""), "{message}");
    assert!(message.contains("did you mean \"images:ImageApp\"?"), "{message}");
    assert!(message.ends_with("registered: images:ImageApp, text:TextApp"), "{message}");
}

#[test]
fn an_app_is_named_once() {
    let variables: &[(&str, &str)] = &[("GUNMETAL_DIRTY_APPS", "text:TextApp,text:TextApp:1")];
    let error = resolve(Layer::default(), None, Layer::default(), variables).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment variable GUNMETAL_DIRTY_APPS: dirty_apps names \"text:TextApp\" twice"
    );
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let variables: &[(&str, &str)] = &[("GUNMETAL_CONFIG", "/nowhere/app.toml")];
    let error = resolve(Layer::default(), None, Layer::default(), variables).unwrap_err();
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}");
}

#[test]
fn a_file_sets_what_an_operator_needs() {
    let settings = of_file(
        "backlog = 64\nreuse_port = true\naccept_mode = \"fair\"\nworker_connections = 5\n\
         max_requests = 100\nmax_requests_jitter = 10\nmax_rss = \"1G\"\nrestart_limit = 3\n\
         preload_app = true\ndaemon = true\npidfile = \"run/a.pid\"\numask = 0o27\nproc_name = \"shop\"\n\
         certfile = \"c.pem\"\nkeyfile = \"k.pem\"\ndirty_socket = \"d.sock\"\nlog_format = \"json\"\n\
         [env]\nMODE = \"test\"\n",
    )
    .unwrap();
    assert_eq!((settings.backlog, settings.reuse_port, settings.worker_connections), (64, true, 5));
    assert_eq!(settings.accept_mode, AcceptMode::Fair);
    assert_eq!((settings.max_requests, settings.max_requests_jitter), (NonZeroU64::new(100), 10));
    assert_eq!((settings.max_rss, settings.restart_limit), (Some(1 << 30), Some(3)));
    assert!(settings.preload_app && settings.daemon);
    // Relative as they are written: to the working directory, which the service enters first.
    assert_eq!(settings.pidfile, Some("run/a.pid".into()));
    assert_eq!((settings.certfile, settings.keyfile), (Some("c.pem".into()), Some("k.pem".into())));
    assert_eq!((settings.umask, settings.proc_name.as_deref()), (0o27, Some("shop")));
    assert_eq!((settings.dirty_socket, settings.log_format), (Some("d.sock".into()), LogFormat::Json));
    assert_eq!(settings.env, [("MODE".to_owned(), "test".to_owned())]);
}

#[test]
fn zero_is_no_limit() {
    let settings =
        of_file("max_requests = 0\nmax_rss = 0\nrestart_limit = 0\ndirty_stash_limit = 0").unwrap();
    assert_eq!((settings.max_requests, settings.max_rss, settings.restart_limit), (None, None, None));
    assert_eq!(settings.dirty_stash_limit, Some(u64::MAX));
}

#[test]
fn what_is_not_allowed_is_refused_with_its_place_and_what_is() {
    for (line, words) in [
        ("backlog = 0", "out of range; allowed: a whole number from 1 to 2147483647"),
        ("worker_connections = 0", "out of range; allowed: a whole number from 1 to 2147483647"),
        ("accept_mode = \"greedy\"", "no such mode; allowed: shared or fair"),
        ("log_format = \"xml\"", "no such format; allowed: text or json"),
        ("restart_limit = -1", "not a whole number in range; allowed: a whole number, 0 for no limit"),
        ("preload_app = 1", "neither true nor false; allowed: true or false"),
        (
            "umask = \"22\"",
            "octal numbers begin with 0 or 0o; allowed: an octal number from 0 to 0o777, as 022 or 0o22",
        ),
        ("umask = 512", "not from 0 to 0o777; allowed: an octal number from 0 to 0o777, as 022 or 0o22"),
        (
            "user = \"no-such-user\"",
            "there is no user \"no-such-user\"; allowed: the name of a user of this machine, or a user id",
        ),
        (
            "group = \"no-such-group\"",
            "there is no group \"no-such-group\"; allowed: the name of a group of this machine, or a group id",
        ),
        ("env = [\"A\"]", "\"A\" has no =; allowed: a list of \"KEY=VALUE\", or a table of strings"),
        ("proc_name = \"\"", "it is empty; allowed: a text that is not empty"),
        ("max_requests_jitter = 0.5", "not a whole number in range; allowed: a whole number"),
    ] {
        let error = of_file(line).unwrap_err();
        assert!(error.starts_with(&format!("app.toml:1: {line} is not allowed: ")), "{error}");
        assert!(error.ends_with(words), "{error}");
    }
}

#[test]
fn a_key_needs_a_certificate() {
    let expected = "app.toml:1: keyfile is set, and certfile is not: without a certificate there is no TLS";
    assert_eq!(of_file("keyfile = \"k.pem\""), Err(expected.into()));
    assert!(of_file("certfile = \"c.pem\"").is_ok());
}

#[test]
fn the_working_directory_must_be_there_and_heartbeats_are_relative_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::create_dir_all(at.join("app/beats")).unwrap();
    std::fs::write(at.join("file"), "").unwrap();
    let of_file = |text| sources(at, Layer::default(), Some(text), Layer::default(), &[]).at_start();

    let settings = of_file("chdir = \"app\"\nworker_tmp_dir = \"beats\"").unwrap();
    assert_eq!(settings.chdir, Some(at.join("app")));
    assert_eq!(settings.worker_tmp_dir, Some("beats".into()));

    for (line, words) in [
        ("chdir = \"nowhere\"", "nowhere: No such file or directory (os error 2)"),
        ("chdir = \"file\"", "file is not a directory"),
        ("worker_tmp_dir = \"beats\"", "beats: No such file or directory (os error 2)"),
    ] {
        let error = of_file(line).unwrap_err().to_string();
        assert!(error.starts_with(&format!("app.toml:1: {line} is not allowed: ")), "{error}");
        assert!(error.ends_with(&format!("{words}; allowed: the path of a directory")), "{error}");
    }
}

#[test]
fn settings_are_read_again_from_another_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    std::fs::write(at.join("gunmetal.toml"), "chdir = \".\"\nworkers = 5").unwrap();
    // The default file is looked for where the service was started, not where this process is.
    let settings = sources(at, Layer::default(), None, Layer::default(), &[]).at_start().unwrap();
    assert_eq!((settings.workers, settings.chdir), (5, Some(at.join("."))));
}

#[test]
fn the_clients_variable_is_no_setting() {
    let variables: &[(&str, &str)] = &[("GUNMETAL_DIRTY_SOCKET", "/run/other.sock")];
    let settings = resolve(Layer::default(), None, Layer::default(), variables).unwrap();
    assert_eq!(settings.dirty_socket, None);
}

#[test]
fn variables_have_no_types_and_empty_ones_are_absent() {
    let variables: &[(&str, &str)] = &[
        ("GUNMETAL_PRELOAD_APP", "yes"),
        ("GUNMETAL_UMASK", "027"),
        ("GUNMETAL_ENV", "A=1,B=2"),
        ("GUNMETAL_USER", "0"),
        ("GUNMETAL_PIDFILE", ""),
    ];
    let settings = resolve(Layer::default(), None, Layer::default(), variables).unwrap();
    assert!(settings.preload_app);
    assert_eq!((settings.umask, settings.env.len(), settings.pidfile), (0o27, 2, None));
    assert_eq!(settings.user.unwrap().uid, 0);
}

/// Every setting has a value here that is not its default, some of them hard to write.
const EVERYTHING: &str = r#"
bind = ["127.0.0.1:0", "[::1]:80", "unix:run/\"a\".sock"]
backlog = 64
reuse_port = true
accept_mode = "fair"
worker_connections = 7
keyfile = "k.pem"
certfile = "c.pem"
workers = 3
timeout = 0.25
graceful_timeout = 1
keepalive = 2.5
max_requests = "18446744073709551615"
max_requests_jitter = 5
max_rss = "1.5G"
restart_limit = 9
preload_app = true
worker_tmp_dir = "."
dirty_apps = ["images:ImageApp:2", "text:TextApp"]
dirty_workers = 4
dirty_timeout = 0
dirty_threads = 2
dirty_graceful_timeout = 12.125
dirty_stash_limit = 0
dirty_max_requests = 1
dirty_max_requests_jitter = 2
dirty_max_rss = "3k"
dirty_socket = "d.sock"
companion_control_socket = "run/c.sock"
daemon = true
pidfile = "a # b.pid"
user = 3123456789
group = "0"
umask = 0o022
chdir = "."
env = ["A=1=2", "B=", "C=x, \\ \"y\"\nz"]
proc_name = "späti"
errorlog = "e.log"
log_format = "json"
loglevel = "trace"
"#;

#[test]
fn what_is_printed_is_read_again_as_the_same_settings() {
    let directory = tempfile::tempdir().unwrap();
    for text in [EVERYTHING, "", "errorlog = \"-\""] {
        let sources_of =
            |text| sources(directory.path(), Layer::default(), Some(text), Layer::default(), &[]);
        let (settings, printed) = {
            let sources = sources_of(text);
            (sources.at_start().unwrap(), sources.print().unwrap())
        };
        assert_eq!(sources_of(&printed).at_start().unwrap(), settings, "{printed}");
        for key in Key::all() {
            let line = [format!("{} = ", key.name()), format!("# {} is not set: ", key.name())];
            assert!(line.iter().any(|start| printed.contains(start.as_str())), "{} in {printed}", key.name());
        }
    }
    // A file for companions is printed as what is in it.
    for key in Key::all().filter(|key| *key != Key::CompanionConfigFile) {
        assert!(
            EVERYTHING.contains(&format!("\n{} = ", key.name())),
            "{} is missing in EVERYTHING",
            key.name()
        );
    }
}

#[test]
fn what_is_printed_says_where_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = layer(4, Origin::Program);
    program.set(Key::Backlog, &Raw::Integer(64), Origin::Program).unwrap();
    let printed = sources(
        directory.path(),
        layer(1, Origin::Flag(Key::Workers)),
        Some("\ntimeout = 5"),
        program,
        &[("GUNMETAL_DIRTY_THREADS", "2")],
    )
    .print()
    .unwrap();
    for line in [
        "workers = 1  # --workers\n",
        "timeout = 5  # app.toml:2\n",
        "dirty_threads = 2  # environment variable GUNMETAL_DIRTY_THREADS\n",
        "backlog = 64  # set by the program\n",
        "graceful_timeout = 30  # default\n",
        "umask = \"0\"  # default\n",
        "# pidfile is not set: none\n",
    ] {
        assert!(printed.contains(line), "{line:?} in\n{printed}");
    }
}
