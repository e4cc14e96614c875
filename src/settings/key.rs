//! The settings there are, under gunicorn's names. What is known of each stands in the [table](super::table).

use super::table::TABLE;

pub(crate) use super::table::Key;

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One value: the last flag counts.
    One,
    /// A list: the flag may be repeated, the variable has commas.
    List,
    /// True or false: the flag needs no value.
    Switch,
}

/// What a setting is where no source gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// A value, as it would be written.
    Value(&'static str),
    /// No value, which has this meaning.
    Unset(&'static str),
}

/// What is known of a setting.
pub(crate) struct Entry {
    pub(super) key: Key,
    /// The name in a configuration file.
    pub(super) name: &'static str,
    /// The long flag, without its dashes.
    pub(super) flag: &'static str,
    /// Another name of the long flag, as in gunicorn.
    pub(super) alias: Option<&'static str>,
    /// The short flag, as in gunicorn.
    pub(super) short: Option<char>,
    pub(super) form: Form,
    /// Whether there is an environment variable.
    pub(super) has_variable: bool,
    /// What a value must look like, for error messages and the documentation.
    pub(super) allowed: fn() -> String,
    pub(super) default: Default,
    /// What the setting does, in one line without a full stop.
    pub(super) help: &'static str,
}

impl Key {
    /// Every setting, in the order in which help texts list them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| entry.key)
    }

    /// The names of all settings.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|entry| entry.name)
    }

    /// The setting of that name in a configuration file.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|key| key.name() == name)
    }

    /// What is known of it.
    pub(super) fn entry(self) -> &'static Entry {
        // The table makes the enum: they have one order.
        &TABLE[self as usize]
    }

    /// The name in a configuration file.
    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }

    /// The long flag, without its dashes.
    pub(crate) fn flag(self) -> &'static str {
        self.entry().flag
    }

    /// The environment variable, for all but one.
    pub(crate) fn variable(self) -> Option<String> {
        self.entry().has_variable.then(|| format!("{PREFIX}{}", self.name().to_uppercase()))
    }

    /// What a value must look like.
    pub(crate) fn allowed(self) -> String {
        (self.entry().allowed)()
    }
}

impl Default {
    /// What help texts say of it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Value(text) | Self::Unset(text) => text,
        }
    }
}

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "GUNMETAL_";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_is_found_by_its_name_and_no_flag_is_given_twice() {
        let mut flags = BTreeSet::new();
        for key in Key::all() {
            assert_eq!(Key::from_name(key.name()), Some(key));
            let entry = key.entry();
            assert_eq!(entry.key, key);
            let short = entry.short.map(String::from);
            for flag in
                [Some(entry.flag.to_owned()), entry.alias.map(str::to_owned), short].into_iter().flatten()
            {
                assert!(flags.insert(flag.clone()), "{flag} is given twice");
            }
        }
    }
}
