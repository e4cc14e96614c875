//! The keys there are, and what is known of each.

use super::super::key::Default;
use super::terms::TERMS;

/// What is known of a key.
pub(super) struct Field {
    /// Its name in a companion's table. That for all companions has [`PREFIX`] before it.
    pub(super) name: &'static str,
    /// What a value must look like, for error messages and the documentation.
    pub(super) allowed: fn() -> String,
    pub(super) default: Default,
}

/// Whether `name` is for whoever reads companions to judge.
pub(in crate::settings) fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The keys of a companion's table, in the order in which they are listed.
pub(super) fn of_companion() -> impl Iterator<Item = &'static Field> {
    OWN.iter().chain(TERMS).chain(LAST)
}

/// The keys for all companions, without their prefix, in the order in which they are listed.
pub(super) fn of_all() -> impl Iterator<Item = &'static Field> {
    [&WORKERS].into_iter().chain(TERMS).chain(MANAGER)
}

/// The list of companions.
pub(super) const WORKERS: Field = Field {
    name: "workers",
    allowed: || "a list of tables, one for each companion".into(),
    default: Default::Unset("every function that the program has registered"),
};

/// What only one companion can be told.
pub(super) static OWN: &[Field] = &[
    Field {
        name: "name",
        allowed: || {
            format!(
                "1 to {MAX_NAME_LEN} bytes without blanks, control characters, *, ? and [; not \"all\", no - in front"
            )
        },
        default: Default::Unset("required"),
    },
    Field {
        name: "target",
        allowed: || "the name of a function that the program has registered".into(),
        default: Default::Unset("this or `command`"),
    },
    Field {
        name: "command",
        allowed: || "a list of texts, the program first".into(),
        default: Default::Unset("this or `target`"),
    },
];

/// The same, behind the terms.
pub(super) static LAST: &[Field] = &[
    Field {
        name: "depends_on",
        allowed: || "a list of names of other companions".into(),
        default: Default::Unset("none"),
    },
    Field { name: "autostart", allowed: || "true or false".into(), default: Default::Value("true") },
];

/// What the manager itself is told.
pub(super) static MANAGER: &[Field] = &[
    Field { name: "manager_shutdown_buffer", allowed: || "seconds".into(), default: Default::Value("10") },
    Field {
        name: "manager_stop_timeout",
        allowed: || "seconds".into(),
        default: Default::Unset("what each has by itself"),
    },
    Field {
        name: "control_socket_mode",
        allowed: || {
            "permissions from 0o600 to 0o777, as 0o600 or \"600\", of which the owner's are rw".into()
        },
        default: Default::Value("600"),
    },
];

/// What the names of keys for all companions begin with.
pub(super) const PREFIX: &str = "companion_";

/// It is shown by `ps`, in tables and in every line of the log.
pub(super) const MAX_NAME_LEN: usize = 100;
