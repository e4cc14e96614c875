//! Settings from the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::error::SettingsError;
use super::key::Key;
use super::layer::Layer;
use super::origin::Origin;
use super::raw::Raw;

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) layer: Layer,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--dirty-only`: no master and no HTTP workers.
    pub(crate) dirty_only: bool,
    /// `--dirty-socket`: where the dirty arbiter listens.
    pub(crate) dirty_socket: Option<PathBuf>,
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
        let mut flags = Self {
            config: matches.remove_one("config"),
            dirty_only: matches.get_flag("dirty-only"),
            dirty_socket: matches.remove_one("dirty-socket"),
            ..Self::default()
        };
        for key in Key::ALL {
            let Some(values) = matches.remove_many::<String>(key.name()) else { continue };
            let mut values: Vec<Raw> = values.map(Raw::Text).collect();
            let raw = if key.is_list() { Some(Raw::List(values)) } else { values.pop() };
            if let Some(raw) = raw {
                flags.layer.set(key, &raw, Origin::Flag(key)).map_err(FlagsError::Setting)?;
            }
        }
        Ok(flags)
    }
}

fn command() -> Command {
    let path = || ValueParser::path_buf();
    let settings = Key::ALL.map(|key| {
        let action = if key.is_list() { ArgAction::Append } else { ArgAction::Set };
        let arg =
            Arg::new(key.name()).long(key.flag()).action(action).allow_hyphen_values(true).help(key.help());
        let arg = match key.flag_alias() {
            Some(alias) => arg.visible_alias(alias),
            None => arg,
        };
        match key.short() {
            Some(short) => arg.short(short),
            None => arg,
        }
    });
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
                .value_parser(path())
                .help("TOML file with settings [default: GUNMETAL_CONFIG, or gunmetal.toml if it is there]"),
        )
        .args(settings)
        .arg(
            Arg::new("dirty-only")
                .long("dirty-only")
                .action(ArgAction::SetTrue)
                .help("Run the dirty arbiter alone, in the foreground, without HTTP workers"),
        )
        .arg(Arg::new("dirty-socket").long("dirty-socket").value_name("PATH").value_parser(path()).help(
            "Where the dirty arbiter listens [default: gunmetal-dirty-<pid>.sock in the temporary directory]",
        ))
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
        assert!(!flags.dirty_only);
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
