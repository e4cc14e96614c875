//! Where the control socket is.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::de::{DeTable, DeValue};

use crate::text_file;

/// A path, and who says that it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SocketPath {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Variable,
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("as the command line says"),
            Self::Variable => write!(f, "as {VARIABLE} says"),
            Self::File(path) => write!(f, "as {} says", path.display()),
            Self::Default => f.write_str("where it is by default"),
        }
    }
}

/// Finds the control socket: by flag, by variable, by the configuration file of the service, or where it is by default.
///
/// `directory` is where the tool was started. What is wrong in files is told to `warn` and passed over: the service may run all
/// the same, with what they said before.
pub(super) fn find(
    flag: Option<PathBuf>,
    config: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
    directory: &Path,
    warn: &mut dyn FnMut(String),
) -> anyhow::Result<SocketPath> {
    // As for the service, an empty variable counts as absent.
    let variable = |name| variable(name).filter(|text| !text.trim().is_empty()).map(PathBuf::from);
    if let Some(path) = flag {
        return Ok(SocketPath { path: directory.join(path), origin: Origin::Flag });
    }
    if let Some(path) = variable(VARIABLE) {
        return Ok(SocketPath { path: directory.join(path), origin: Origin::Variable });
    }
    let config = match config.or_else(|| variable("GUNMETAL_CONFIG")) {
        Some(path) => Some(directory.join(path)),
        None => Some(directory.join("gunmetal.toml")).filter(|path| path.exists()),
    };
    let main = match &config {
        Some(path) => Paths::read(path, warn)?,
        None => Paths::default(),
    };
    let config = config.unwrap_or_else(|| directory.join("gunmetal.toml"));
    // The directory of the service, which paths in its configuration are relative to.
    let mut service = config.parent().map(Path::to_owned).unwrap_or_default();
    if let Some(chdir) = variable("GUNMETAL_CHDIR").or(main.chdir) {
        service.push(chdir);
    }
    if let Some(path) = main.socket {
        return Ok(SocketPath { path: service.join(path), origin: Origin::File(config) });
    }
    if let Some(own) = variable("GUNMETAL_COMPANION_CONFIG_FILE").or(main.companions) {
        let own = service.join(own);
        match Paths::read(&own, warn) {
            Ok(Paths { socket: Some(path), .. }) => {
                return Ok(SocketPath { path: service.join(path), origin: Origin::File(own) });
            }
            Ok(_) => {}
            Err(error) => warn(format!("{error:#}")),
        }
    }
    Ok(SocketPath { path: service.join(DEFAULT), origin: Origin::Default })
}

/// What a configuration file says of places.
#[derive(Default)]
struct Paths {
    socket: Option<PathBuf>,
    chdir: Option<PathBuf>,
    companions: Option<PathBuf>,
}

impl Paths {
    /// Reads the file as far as it can be understood, and tells `warn` of the rest.
    fn read(path: &Path, warn: &mut dyn FnMut(String)) -> anyhow::Result<Self> {
        let text = text_file::read(path)
            .with_context(|| format!("configuration file {} cannot be read", path.display()))?;
        let mut wrong = |place: usize, what: &str| {
            let line = 1 + text.bytes().take(place).filter(|byte| *byte == b'\n').count();
            warn(format!("{}:{line}: {what}", path.display()));
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        // Those that follow the first may follow from it.
        if let Some(error) = errors.first() {
            wrong(error.span().unwrap_or_default().start, error.message());
        }
        let mut paths = Self::default();
        for (key, value) in table.get_ref() {
            let key: &str = key.get_ref();
            let place = match key {
                SOCKET => &mut paths.socket,
                "chdir" => &mut paths.chdir,
                "companion_config_file" => &mut paths.companions,
                _ => continue,
            };
            // What stands where the mistake is may be half of what is meant.
            if errors.iter().any(|error| error.span().is_none_or(|span| touch(&span, &value.span()))) {
                continue;
            }
            if let DeValue::String(path) = value.get_ref() {
                *place = Some(PathBuf::from(path.as_ref()));
            } else {
                let found = text.get(value.span()).unwrap_or_default();
                wrong(value.span().start, &format!("{key} = {found} is not allowed; allowed: a path"));
            }
        }
        Ok(paths)
    }
}

fn touch(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start <= b.end && b.start <= a.end
}

const SOCKET: &str = "companion_control_socket";
pub(super) const VARIABLE: &str = "GUNMETAL_COMPANION_CONTROL_SOCKET";
/// In the directory of the service.
const DEFAULT: &str = "gunmetal-companion.sock";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is found in `directory` with these variables, and what is wrong.
    fn found(
        directory: &Path,
        flags: [Option<&str>; 2],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<(SocketPath, Vec<String>)> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        let [flag, config] = flags.map(|flag| flag.map(PathBuf::from));
        let mut warnings = Vec::new();
        let found = find(flag, config, variable, directory, &mut |warning| warnings.push(warning))?;
        Ok((found, warnings))
    }

    /// The path relative to `directory`, and the origin.
    fn place(directory: &Path, flags: [Option<&str>; 2], variables: &[(&str, &str)]) -> (String, String) {
        let (SocketPath { path, origin }, warnings) = found(directory, flags, variables).unwrap();
        assert_eq!(warnings, [""; 0]);
        let origin = origin.to_string().replace(&format!("{}/", directory.display()), "");
        (path.strip_prefix(directory).unwrap_or(&path).display().to_string(), origin)
    }

    fn pair(path: &str, origin: &str) -> (String, String) {
        (path.to_owned(), origin.to_owned())
    }

    #[test]
    fn the_flag_comes_before_the_variable_and_that_before_the_file_and_that_before_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let variable = [(VARIABLE, "/run/v.sock")];
        let default = pair("gunmetal-companion.sock", "where it is by default");
        assert_eq!(place(dir, [None, None], &[]), default);
        assert_eq!(place(dir, [None, None], &[(VARIABLE, " ")]), default);
        fs::write(dir.join("gunmetal.toml"), "companion_control_socket = \"f.sock\"").unwrap();
        assert_eq!(place(dir, [None, None], &[]), pair("f.sock", "as gunmetal.toml says"));
        let by_variable = pair("/run/v.sock", "as GUNMETAL_COMPANION_CONTROL_SOCKET says");
        assert_eq!(place(dir, [None, None], &variable), by_variable);
        assert_eq!(place(dir, [Some("x.sock"), None], &variable), pair("x.sock", "as the command line says"));
    }

    #[test]
    fn a_path_in_a_file_is_relative_to_the_directory_of_the_service() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir(dir.join("srv")).unwrap();
        let write = |text: &str| fs::write(dir.join("srv/app.toml"), text).unwrap();
        let place = || place(dir, [None, Some("srv/app.toml")], &[]);
        write("companion_control_socket = \"run/c.sock\"");
        assert_eq!(place(), pair("srv/run/c.sock", "as srv/app.toml says"));
        write("chdir = \"current\"\ncompanion_control_socket = \"c.sock\"");
        assert_eq!(place(), pair("srv/current/c.sock", "as srv/app.toml says"));
        write("companion_control_socket = \"/run/c.sock\"");
        assert_eq!(place(), pair("/run/c.sock", "as srv/app.toml says"));
        write("workers = 2");
        assert_eq!(place(), pair("srv/gunmetal-companion.sock", "where it is by default"));
    }

    #[test]
    fn the_companions_own_file_may_say_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join("own.toml"), "companion_control_socket = \"own.sock\"").unwrap();
        let main = |text: &str| fs::write(dir.join("app.toml"), text).unwrap();
        let config = ("GUNMETAL_CONFIG", "app.toml");
        let place = || place(dir, [None, None], &[config]);
        main("companion_config_file = \"own.toml\"");
        assert_eq!(place(), pair("own.sock", "as own.toml says"));
        main("companion_config_file = \"own.toml\"\ncompanion_control_socket = \"main.sock\"");
        assert_eq!(place(), pair("main.sock", "as app.toml says"));
    }

    #[test]
    fn variables_of_the_service_go_before_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir(dir.join("other")).unwrap();
        fs::write(dir.join("other/b.toml"), "companion_control_socket = \"b.sock\"").unwrap();
        let variables = [("GUNMETAL_CHDIR", "other"), ("GUNMETAL_COMPANION_CONFIG_FILE", "b.toml")];
        let expected = pair("other/b.sock", "as other/b.toml says");
        assert_eq!(place(dir, [None, None], &variables), expected);
        fs::write(dir.join("gunmetal.toml"), "chdir = \"x\"\ncompanion_config_file = \"a.toml\"").unwrap();
        assert_eq!(place(dir, [None, None], &variables), expected);
    }

    #[test]
    fn a_file_that_is_named_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let error = found(dir.path(), [None, Some("app.toml")], &[]).unwrap_err().to_string();
        assert!(error.ends_with("/app.toml cannot be read"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line_and_the_rest_holds() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        // Nobody writes to it, and nobody waits for that.
        nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (text, socket, words) in [
            ("companion_control_socket = \"a.sock\"\na = \n", "a.sock", "/app.toml:2: "),
            ("a = 1\na = ", DEFAULT, "/app.toml:2: "),
            ("\ncompanion_control_socket = \n", DEFAULT, "/app.toml:2: "),
            ("chdir = \"x\"\n[b\n", "x/gunmetal-companion.sock", "/app.toml:2: "),
            (
                "\ncompanion_control_socket = 3",
                DEFAULT,
                "/app.toml:2: companion_control_socket = 3 is not allowed; allowed: a path",
            ),
            ("chdir = [1]\n", DEFAULT, "/app.toml:1: chdir = [1] is not allowed; allowed: a path"),
            ("companion_config_file = \"none.toml\"", DEFAULT, "/none.toml cannot be read: "),
            (
                "companion_config_file = \"pipe\"",
                DEFAULT,
                "/pipe cannot be read: it is a pipe and no regular file",
            ),
        ] {
            fs::write(dir.join("app.toml"), text).unwrap();
            let (found, warnings) = found(dir, [None, Some("app.toml")], &[]).unwrap();
            assert_eq!(found.path, dir.join(socket), "{text}");
            assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?} of {text}");
        }
        let own = "\ncompanion_workers = 7 7\ncompanion_control_socket = \"own.sock\"";
        fs::write(dir.join("own.toml"), own).unwrap();
        fs::write(dir.join("app.toml"), "companion_config_file = \"own.toml\"").unwrap();
        let (found, warnings) = found(dir, [None, Some("app.toml")], &[]).unwrap();
        assert_eq!(found.path, dir.join("own.sock"));
        assert!(warnings.len() == 1 && warnings[0].contains("/own.toml:2: "), "{warnings:?}");
    }
}
