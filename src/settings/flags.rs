//! Settings from the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::error::SettingsError;
use super::key::{Form, Key};
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) layer: Layer,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    pub(crate) task: Task,
}

/// What the program is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Task {
    /// Serve.
    #[default]
    Serve,
    /// `--dirty-only`: serve without master and HTTP workers.
    ServeDirtyOnly,
    /// `--check-config`: say whether the settings are in order.
    CheckConfig,
    /// `--print-config`: show the settings.
    PrintConfig,
}

/// Why the command line gave no flags.
#[derive(Debug)]
pub(crate) enum FlagsError {
    /// Not a command line of ours, or one that asks for help: clap knows what to print and how to exit.
    Usage(clap::Error),
    /// A flag's value is not allowed.
    Setting(SettingsError),
}

impl Flags {
    /// Reads arguments, of which the first is the program's name.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, FlagsError> {
        let mut matches = command().try_get_matches_from(args).map_err(FlagsError::Usage)?;
        let task = [
            ("print-config", Task::PrintConfig),
            ("check-config", Task::CheckConfig),
            ("dirty-only", Task::ServeDirtyOnly),
        ];
        let task = task.into_iter().find(|(flag, _)| matches.get_flag(flag));
        let mut flags = Self {
            config: matches.remove_one("config"),
            task: task.map(|(_, task)| task).unwrap_or_default(),
            ..Self::default()
        };
        for key in Key::all() {
            let Some(values) = matches.remove_many::<String>(key.name()) else { continue };
            let mut values: Vec<Raw> = values.map(Raw::Text).collect();
            let is_list = key.entry().form == Form::List;
            let raw = if is_list { Some(Raw::List(values)) } else { values.pop() };
            if let Some(raw) = raw {
                flags.layer.set(key, &raw, Origin::Flag(key)).map_err(FlagsError::Setting)?;
            }
        }
        Ok(flags)
    }
}

fn command() -> Command {
    Command::new("gunmetal service")
        .about("A service of HTTP workers and dirty workers, supervised by gunmetal")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(
            "Each setting is also read from GUNMETAL_<NAME>, then from the TOML file, under gunicorn's names \
             (bind, workers, dirty_apps, …): flag over environment over file over the program's default.",
        )
        .arg(
            Arg::new("config")
                .short('c')
                .long("config")
                .value_name("FILE")
                .value_parser(ValueParser::path_buf())
                .help("TOML file with settings [default: GUNMETAL_CONFIG, or gunmetal.toml if it is there]"),
        )
        .args(Key::all().map(setting))
        .arg(
            Arg::new("dirty-only")
                .long("dirty-only")
                .action(ArgAction::SetTrue)
                .help("Run the dirty arbiter alone, in the foreground, without HTTP workers"),
        )
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Check the settings and start nothing"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the settings as a TOML file, with where each came from, and start nothing"),
        )
}

fn setting(key: Key) -> Arg {
    let entry = key.entry();
    let repeat = if entry.form == Form::List { ", repeat it for several" } else { "" };
    let help = format!("{}{repeat} [default: {}]", entry.help, entry.default.text());
    let arg = Arg::new(key.name()).long(entry.flag).visible_aliases(entry.alias).help(help);
    let arg = match entry.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match entry.form {
        // The last one counts, as in gunicorn: scripts add theirs behind those that are given.
        Form::One => arg.action(ArgAction::Set).allow_hyphen_values(true).overrides_with(key.name()),
        Form::List => arg.action(ArgAction::Append).allow_hyphen_values(true),
        // `--daemon` as in gunicorn, and `--daemon=false` where a file says otherwise.
        Form::Switch => arg
            .action(ArgAction::Set)
            .overrides_with(key.name())
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, FlagsError> {
        Flags::parse(["program"].iter().chain(args).map(OsString::from))
    }

    #[test]
    fn flags_are_gunicorns() {
        let line =
            "-b 127.0.0.1:0 --bind unix:/a -w 2 -t 5 --dirty-app a:B --dirty-app c:D:1 --log-level debug";
        let flags = parse(&line.split(' ').collect::<Vec<_>>()).unwrap();
        assert_eq!(flags.layer.bind.unwrap().value.len(), 2);
        assert_eq!(flags.layer.workers.unwrap().value, 2);
        assert_eq!(flags.layer.timeout.unwrap().value.as_secs(), 5);
        assert_eq!(flags.layer.dirty_apps.unwrap().value[1].limit, Some(1));
        assert_eq!(flags.task, Task::Serve);
    }

    #[test]
    fn the_last_of_a_flag_counts_unless_it_makes_a_list() {
        let line = "-w 2 --workers 3 --daemon --daemon=false -b 127.0.0.1:1 -b 127.0.0.1:2";
        let layer = parse(&line.split(' ').collect::<Vec<_>>()).unwrap().layer;
        assert_eq!(layer.workers.unwrap().value, 3);
        assert!(!layer.daemon.unwrap().value);
        assert_eq!(layer.bind.unwrap().value.len(), 2);
    }

    #[test]
    fn operators_flags_are_gunicorns_too() {
        let line =
            "-D -p a.pid -u 0 -g 0 -m 022 -e A=1,2 --env B= -n shop --preload --keyfile k --certfile c";
        let layer = parse(&line.split(' ').collect::<Vec<_>>()).unwrap().layer;
        assert!(layer.daemon.unwrap().value && layer.preload_app.unwrap().value);
        assert_eq!(layer.pidfile.unwrap().value, PathBuf::from("a.pid"));
        assert_eq!(layer.user.unwrap().value.uid, 0);
        assert_eq!(layer.group.unwrap().value.gid, 0);
        assert_eq!(layer.umask.unwrap().value.0, 0o22);
        // No comma divides what a flag says: values may have some.
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(layer.env.unwrap().value, [pair("A", "1,2"), pair("B", "")]);
        assert_eq!(layer.proc_name.unwrap().value, "shop");
        assert_eq!(layer.reuse_port, None);
    }

    #[test]
    fn a_switch_takes_a_value_only_behind_an_equals_sign() {
        let off = parse(&["--daemon=false", "--reuse-port=on"]).unwrap().layer;
        assert!(!off.daemon.unwrap().value && off.reuse_port.unwrap().value);
        let Err(FlagsError::Setting(error)) = parse(&["--daemon=maybe"]) else { panic!("accepted") };
        let expected =
            "--daemon: daemon = \"maybe\" is not allowed: neither true nor false; allowed: true or false";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(parse(&["--daemon", "false"]), Err(FlagsError::Usage(_))));
    }

    #[test]
    fn questions_start_nothing() {
        assert_eq!(parse(&["--check-config"]).unwrap().task, Task::CheckConfig);
        assert_eq!(parse(&["--print-config", "--dirty-only"]).unwrap().task, Task::PrintConfig);
        assert_eq!(parse(&["--dirty-only"]).unwrap().task, Task::ServeDirtyOnly);
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        let Err(FlagsError::Setting(error)) = parse(&["--workers", "-3"]) else { panic!("accepted") };
        assert!(error.to_string().starts_with("--workers: workers = \"-3\" is not allowed"), "{error}");
    }

    #[test]
    fn an_unknown_flag_is_a_usage_error() {
        assert!(matches!(parse(&["--wrokers", "3"]), Err(FlagsError::Usage(_))));
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }
}
