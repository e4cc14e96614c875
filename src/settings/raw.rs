//! A value as it was written, before it is known to be one of its setting's.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::size;
use crate::log_level::LogLevel;

/// What a source holds: text from flags and variables, typed from a file or the program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    List(Vec<Raw>),
    /// A kind that no setting takes, and how the source shows it.
    Other(String),
}

impl Raw {
    /// A count from `min` to `max`.
    pub(super) fn count(&self, min: u32, max: u32) -> Result<u32, String> {
        let count = match self {
            Self::Integer(count) => u32::try_from(*count).ok(),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Float(_) | Self::List(_) | Self::Other(_) => None,
        };
        let count = count.ok_or("not a whole number in range")?;
        if (min..=max).contains(&count) { Ok(count) } else { Err("out of range".into()) }
    }

    /// A whole number, however large.
    pub(super) fn whole_number(&self) -> Result<u64, String> {
        let number = match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Float(_) | Self::List(_) | Self::Other(_) => None,
        };
        number.ok_or_else(|| "not a whole number in range".into())
    }

    /// A size in bytes.
    pub(super) fn size(&self) -> Result<u64, String> {
        match self {
            Self::Integer(bytes) => u64::try_from(*bytes).map_err(|_| "less than nothing".into()),
            Self::Text(text) => size::parse(text),
            Self::Float(_) | Self::List(_) | Self::Other(_) => Err("not a size".into()),
        }
    }

    /// The path of a file; `None` is the dash of standard error.
    pub(super) fn file_or_dash(&self) -> Result<Option<PathBuf>, String> {
        match self {
            Self::Text(text) if text == "-" => Ok(None),
            Self::Text(text) if text.is_empty() => Err("the path is empty".into()),
            Self::Text(text) if text.contains('\0') => Err("a path holds no zero byte".into()),
            Self::Text(text) => Ok(Some(text.into())),
            _ => Err("not a string".into()),
        }
    }

    /// A number of seconds, with decimals if need be.
    pub(super) fn seconds(&self) -> Result<Duration, String> {
        let seconds = match self {
            // No setting is sensible beyond 2^53 seconds.
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(seconds) => *seconds as f64,
            Self::Float(seconds) => *seconds,
            Self::Text(text) => text.trim().parse().map_err(|_| "not a number")?,
            Self::List(_) | Self::Other(_) => return Err("not a number".into()),
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
            Self::Integer(_) | Self::Float(_) | Self::Other(_) => Err("neither a string nor a list".into()),
        }
    }

    /// A log level by gunicorn's name for it.
    pub(super) fn log_level(&self) -> Result<LogLevel, String> {
        match self {
            Self::Text(text) => LogLevel::from_name(text.trim()).ok_or_else(|| "no such level".into()),
            _ => Err("not a string".into()),
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Other(shown) => f.write_str(shown),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
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
    fn a_text_is_a_list_with_commas() {
        assert_eq!(Raw::Text("1,2".into()).list::<u8>(), Ok(vec![1, 2]));
        assert_eq!(Raw::List(vec![Raw::Text("7".into())]).list::<u8>(), Ok(vec![7]));
        assert!(Raw::List(vec![Raw::Integer(7)]).list::<u8>().unwrap_err().contains('7'));
    }
}
