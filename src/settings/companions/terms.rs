//! What is said of all companions, and again of one of them: the same keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gunmetal_arbiter::CompanionOutput;
use gunmetal_supervise::Signal;

use super::super::key::Default as Standard;
use super::super::layer::Given;
use super::super::origin::Origin;
use super::super::printed::Printed;
use super::super::raw::Raw;
use super::super::size::SIZE_FORMS;
use super::keys::Field;
use super::value;

/// Makes [`Terms`] and [`TERMS`] of one list: field, type, how it is read, default, what is allowed.
macro_rules! terms {
    ($($field:ident: $type:ty = $read:expr, $default:expr, $allowed:expr;)+) => {
        /// Some of the terms; what is `None` is left to the terms below.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct Terms {
            $(pub(super) $field: Option<Given<$type>>,)+
        }

        /// What is known of each term.
        pub(super) static TERMS: &[Field] =
            &[$(Field { name: stringify!($field), allowed: $allowed, default: $default }),+];

        impl Terms {
            /// Keeps a value; paths are relative to `base`. `None` if there is no such term.
            pub(super) fn set(
                &mut self,
                name: &str,
                raw: &Raw,
                base: &Path,
                origin: Origin,
            ) -> Option<Result<(), String>> {
                match name {
                    $(stringify!($field) => {
                        let read: fn(&Raw, &Path) -> Result<$type, String> = $read;
                        Some(read(raw, base).map(|value| self.$field = Some(Given { value, origin })))
                    })+
                    _ => None,
                }
            }

            /// These terms, and `lower`'s where there are none.
            fn instead_of(self, lower: Self) -> Self {
                Self { $($field: self.$field.or(lower.$field),)+ }
            }

            /// The terms there are, as they are written, and where they came from.
            pub(super) fn printed(&self) -> Vec<(&'static str, toml::Value, &Origin)> {
                let mut printed = Vec::new();
                $(if let Some(given) = &self.$field {
                    printed.push((stringify!($field), given.value.printed(), &given.origin));
                })+
                printed
            }
        }
    };
}

terms! {
    stop_signal: Signal = |raw, _| value::stop_signal(raw), Standard::Value("SIGTERM"), value::stop_signals;
    stop_as_group: bool = |raw, _| raw.switch(), Standard::Value("false"), switch;
    kill_as_group: bool = |raw, _| raw.switch(), Standard::Value("false"), switch;
    stop_timeout: Duration = |raw, _| raw.seconds(), Standard::Value("60"), patience;
    reload_timeout: Duration = |raw, _| raw.seconds(), Standard::Value("60"), patience;
    stdout: CompanionOutput = value::stdout, Standard::Value("inherit"),
        || "\"inherit\" or the path of a file".into();
    stderr: CompanionOutput = value::stderr, Standard::Value("inherit"),
        || "\"inherit\", \"stdout\" or the path of a file".into();
    cwd: PathBuf = value::directory, Standard::Unset("the service's"), || "the path of a directory".into();
    env: BTreeMap<String, String> = |raw, _| Ok(raw.table_of_assignments()?.into_iter().collect()),
        Standard::Unset("none"), || "a table of strings".into();
    startsecs: Duration = |raw, _| raw.seconds(), Standard::Value("1"), || "seconds, 0 for at once".into();
    restart_delay: Duration = |raw, _| raw.seconds(), Standard::Value("5"), || "seconds, 0 for at once".into();
    max_restart_delay: Duration = |raw, _| raw.seconds(), Standard::Value("0"),
        || "seconds, no fewer than `restart_delay`; 0 for always `restart_delay`".into();
    restart_limit: u32 = |raw, _| raw.count(0, u32::MAX), Standard::Value("0"),
        || "a whole number, 0 for no limit".into();
    max_rss: u64 = |raw, _| raw.size(), Standard::Value("0"), || format!("{SIZE_FORMS}, 0 for no limit");
}

impl Terms {
    /// What a companion has that nobody has said anything of.
    pub(super) fn standard() -> Self {
        let mut terms = Self::default();
        for field in TERMS {
            if let Standard::Value(text) = field.default {
                let read = terms.set(field.name, &Raw::Text(text.into()), Path::new("/"), Origin::Default);
                debug_assert_eq!(read, Some(Ok(())), "{}", field.name);
            }
        }
        terms
    }

    /// These terms over `lower`'s. Environments are merged, and everything else is replaced.
    pub(super) fn over(mut self, lower: Self) -> Self {
        if let (Some(own), Some(below)) = (&mut self.env, &lower.env) {
            for (name, value) in &below.value {
                own.value.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        self.instead_of(lower)
    }
}

fn switch() -> String {
    "true or false".into()
}

fn patience() -> String {
    "seconds, 0 for SIGKILL at once".into()
}
