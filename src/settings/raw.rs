//! A value as it was written, before it is known to be one of its setting's.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::account::{GroupName, UserName};
use super::section::{Item, Section};
use super::umask::Umask;
use super::{assignment, size};

/// What a source holds: text from flags and variables, typed from a file or the program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Raw>),
    /// Names and values, of a file only.
    Table(Section),
    /// A kind that no setting takes, and how the source shows it.
    Other(String),
}

impl Raw {
    /// A count from `min` to `max`.
    pub(super) fn count(&self, min: u32, max: u32) -> Result<u32, String> {
        let count = match self {
            Self::Integer(count) => u32::try_from(*count).ok(),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let count = count.ok_or("not a whole number in range")?;
        if (min..=max).contains(&count) { Ok(count) } else { Err("out of range".into()) }
    }

    /// A whole number, however large.
    pub(super) fn whole_number(&self) -> Result<u64, String> {
        let number = match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| "not a whole number in range".into())
    }

    /// A size in bytes.
    pub(super) fn size(&self) -> Result<u64, String> {
        match self {
            Self::Integer(bytes) => u64::try_from(*bytes).map_err(|_| "less than nothing".into()),
            Self::Text(text) => size::parse(text),
            _ => Err("not a size".into()),
        }
    }

    /// Yes or no.
    pub(super) fn switch(&self) -> Result<bool, String> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err("neither true nor false".into()),
            },
            _ => Err("neither true nor false".into()),
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Err("it is empty".into()),
            Self::Text(text) if text.contains('\0') => Err("it holds a zero byte".into()),
            Self::Text(text) => Ok(text.clone()),
            _ => Err("not a string".into()),
        }
    }

    /// The path of a file or a directory.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        match self {
            Self::Text(text) if text.is_empty() => Err("the path is empty".into()),
            Self::Text(text) if text.contains('\0') => Err("a path holds no zero byte".into()),
            Self::Text(text) => Ok(text.into()),
            _ => Err("not a string".into()),
        }
    }

    /// The path of a file; `None` is the dash of standard error.
    pub(super) fn path_or_dash(&self) -> Result<Option<PathBuf>, String> {
        match self {
            Self::Text(text) if text == "-" => Ok(None),
            _ => self.path().map(Some),
        }
    }

    /// One of several `kind`s that have names.
    pub(super) fn named<T>(&self, from_name: fn(&str) -> Option<T>, kind: &str) -> Result<T, String> {
        match self {
            Self::Text(text) => from_name(text.trim()).ok_or_else(|| format!("no such {kind}")),
            _ => Err("not a string".into()),
        }
    }

    /// A user of this machine.
    pub(super) fn user(&self) -> Result<UserName, String> {
        match self {
            Self::Text(text) => UserName::find(text.trim()),
            Self::Integer(uid) => UserName::find(&uid.to_string()),
            _ => Err("neither a name nor a number".into()),
        }
    }

    /// A group of this machine.
    pub(super) fn group(&self) -> Result<GroupName, String> {
        match self {
            Self::Text(text) => GroupName::find(text.trim()),
            Self::Integer(gid) => GroupName::find(&gid.to_string()),
            _ => Err("neither a name nor a number".into()),
        }
    }

    /// A file mode creation mask.
    pub(super) fn umask(&self) -> Result<Umask, String> {
        match self {
            Self::Text(text) => Umask::parse(text.trim()),
            Self::Integer(bits) => Umask::from_bits(*bits),
            _ => Err("not a whole number".into()),
        }
    }

    /// Names and values of environment variables, in their order.
    pub(super) fn assignments(&self) -> Result<Vec<(String, String)>, String> {
        match self {
            Self::Text(text) => text.split(',').map(assignment::parse).collect(),
            Self::List(items) => items
                .iter()
                .map(|raw| match raw {
                    Self::Text(text) => assignment::parse(text),
                    other => Err(format!("{other} is not a string")),
                })
                .collect(),
            Self::Table(_) => self.table_of_assignments(),
            _ => Err("neither a list nor a table".into()),
        }
    }

    /// The same of a table only.
    pub(super) fn table_of_assignments(&self) -> Result<Vec<(String, String)>, String> {
        let Self::Table(section) = self else { return Err("not a table".into()) };
        let pair = |item: &Item| match &item.value {
            Self::Text(value) => assignment::check(&item.name, value),
            other => Err(format!("{} = {other} is not a string", item.name)),
        };
        section.items.iter().map(pair).collect()
    }

    /// A number of seconds, with decimals if need be.
    pub(super) fn seconds(&self) -> Result<Duration, String> {
        let seconds = match self {
            // No setting is sensible beyond 2^53 seconds.
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(seconds) => *seconds as f64,
            Self::Float(seconds) => *seconds,
            Self::Text(text) => text.trim().parse().map_err(|_| "not a number")?,
            _ => return Err("not a number".into()),
        };
        if !(0.0..=MAX_SECONDS).contains(&seconds) {
            return Err(format!("not from 0 to {MAX_SECONDS} seconds"));
        }
        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    }

    /// A list of `T`; a single text is a list of one, or of several between commas.
    pub(super) fn list<T: FromStr<Err: fmt::Display>>(&self) -> Result<Vec<T>, String> {
        let item = |text: &str| text.parse::<T>().map_err(|error| error.to_string());
        match self {
            Self::Text(text) => text.split(',').map(item).collect(),
            Self::List(items) => items
                .iter()
                .map(|raw| match raw {
                    Self::Text(text) => item(text),
                    other => Err(format!("{other} is not a string")),
                })
                .collect(),
            _ => Err("neither a string nor a list".into()),
        }
    }

    /// A [`list`](Self::list) that is not empty.
    pub(super) fn list_of_some<T: FromStr<Err: fmt::Display>>(&self) -> Result<Vec<T>, String> {
        let list = self.list()?;
        if list.is_empty() { Err("the list is empty".into()) } else { Ok(list) }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Other(shown) => f.write_str(shown),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Table(section) => {
                let items: Vec<String> =
                    section.items.iter().map(|item| format!("{} = {}", item.name, item.value)).collect();
                write!(f, "{{ {} }}", items.join(", "))
            }
        }
    }
}

/// A year: longer is a slip of the keyboard, and far from overflowing any clock.
const MAX_SECONDS: f64 = 31_536_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_or_decimal_and_never_negative() {
        assert_eq!(Raw::Integer(30).seconds(), Ok(Duration::from_secs(30)));
        assert_eq!(Raw::Text("0.25".into()).seconds(), Ok(Duration::from_millis(250)));
        for bad in ["-1", "nan", "inf", "1e12", "soon", ""] {
            assert!(Raw::Text(bad.into()).seconds().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counts_are_whole_and_in_range() {
        assert_eq!(Raw::Text("4".into()).count(1, 8), Ok(4));
        for bad in
            [Raw::Integer(-1), Raw::Integer(0), Raw::Integer(9), Raw::Float(2.0), Raw::Text("x".into())]
        {
            assert!(bad.count(1, 8).is_err(), "{bad}");
        }
    }

    #[test]
    fn switches_have_the_words_that_people_use() {
        for (text, value) in [("true", true), ("1", true), ("Yes", true), ("on", true)].into_iter().chain([
            ("false", false),
            ("0", false),
            ("no", false),
            (" OFF ", false),
        ]) {
            assert_eq!(Raw::Text(text.into()).switch(), Ok(value), "{text:?}");
        }
        assert_eq!(Raw::Bool(true).switch(), Ok(true));
        for bad in [Raw::Text("2".into()), Raw::Text(String::new()), Raw::Integer(1)] {
            assert!(bad.switch().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_a_text_and_a_dash_is_standard_error() {
        assert_eq!(Raw::Text("-".into()).path_or_dash(), Ok(None));
        assert_eq!(Raw::Text("a b".into()).path_or_dash(), Ok(Some("a b".into())));
        for bad in [Raw::Text(String::new()), Raw::Text("a\0".into()), Raw::Integer(1)] {
            assert!(bad.path_or_dash().is_err() && bad.path().is_err() && bad.text().is_err(), "{bad}");
        }
    }

    #[test]
    fn environment_variables_are_a_text_a_list_or_a_table() {
        let pairs = |raw: Raw| raw.assignments();
        let both = Ok(vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let text = |text: &str| Raw::Text(text.into());
        assert_eq!(pairs(text("A=1,B=2")), both);
        assert_eq!(pairs(Raw::List(vec![text("A=1"), text("B=2")])), both);
        let item = |name: &str, value| Item { line: 1, name: name.into(), value };
        let table = |items| Raw::Table(Section { line: 1, items });
        assert_eq!(pairs(table(vec![item("A", text("1")), item("B", text("2"))])), both);
        assert_eq!(pairs(table(vec![item("A", Raw::Integer(1))])), Err("A = 1 is not a string".into()));
        assert_eq!(pairs(Raw::List(vec![text("A")])), Err("\"A\" has no =".into()));
    }

    #[test]
    fn a_text_is_a_list_with_commas() {
        assert_eq!(Raw::Text("1,2".into()).list::<u8>(), Ok(vec![1, 2]));
        assert_eq!(Raw::List(vec![Raw::Text("7".into())]).list::<u8>(), Ok(vec![7]));
        assert!(Raw::List(vec![Raw::Integer(7)]).list::<u8>().unwrap_err().contains('7'));
    }
}
