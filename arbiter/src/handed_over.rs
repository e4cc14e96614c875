//! What a process was started with, as variables tell it: listeners of systemd or of the master that it replaces.

use std::os::fd::RawFd;
use std::str::FromStr;

use crate::{BIND_ADDRESS_FORMS, BindAddress, ServiceError};

/// What this process was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HandedOver {
    /// How many listeners systemd has opened; they begin at descriptor 3, see sd_listen_fds(3).
    pub(crate) activated_count: RawFd,
    /// Listeners of a master, each with what it was bound to, if that was said.
    pub(crate) listeners: Vec<(RawFd, Option<BindAddress>)>,
    /// The master that is to be replaced.
    pub(crate) master: Option<i32>,
    /// Where to say that this master is ready.
    pub(crate) ready: Option<RawFd>,
    /// The dirty arbiter's listener.
    pub(crate) dirty_listener: Option<RawFd>,
}

impl HandedOver {
    /// Reads the variables through `lookup`. Those of systemd mean the process `pid` and no child of it.
    pub(crate) fn read(lookup: &dyn Fn(&str) -> Option<String>, pid: u32) -> Result<Self, ServiceError> {
        let numbers = list::<RawFd>(lookup, GUNICORN_FD, ",", "descriptors between commas, as in 3,4")?;
        let addresses = list::<BindAddress>(lookup, BOUND, BETWEEN_ADDRESSES, BIND_ADDRESS_FORMS)?;
        let mut addresses = addresses.into_iter();
        let is_ours = one::<u32>(lookup, LISTEN_PID, "a process id")? == Some(pid);
        let activated_count =
            if is_ours { one::<u16>(lookup, LISTEN_FDS, "a number of descriptors")? } else { None };
        Ok(Self {
            activated_count: activated_count.unwrap_or(0).into(),
            listeners: numbers.into_iter().map(|number| (number, addresses.next())).collect(),
            master: one(lookup, GUNICORN_PID, "a process id")?,
            ready: one(lookup, READY, "a descriptor")?,
            dirty_listener: one(lookup, DIRTY, "a descriptor")?,
        })
    }
}

fn one<T: FromStr>(
    lookup: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    allowed: &'static str,
) -> Result<Option<T>, ServiceError> {
    let Some(found) = lookup(variable).filter(|text| !text.is_empty()) else { return Ok(None) };
    match found.parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(ServiceError::Variable { variable, found, allowed }),
    }
}

fn list<T: FromStr>(
    lookup: &dyn Fn(&str) -> Option<String>,
    variable: &'static str,
    between: &str,
    allowed: &'static str,
) -> Result<Vec<T>, ServiceError> {
    let Some(found) = lookup(variable).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    match found.split(between).map(str::parse).collect() {
        Ok(values) => Ok(values),
        Err(_) => Err(ServiceError::Variable { variable, found, allowed }),
    }
}

/// gunicorn's, for the listeners of a master that is replaced: their descriptors, between commas.
pub(crate) const GUNICORN_FD: &str = "GUNICORN_FD";
/// gunicorn's: the master that is replaced.
pub(crate) const GUNICORN_PID: &str = "GUNICORN_PID";
/// systemd's: how many listeners there are, from descriptor 3 on.
pub(crate) const LISTEN_FDS: &str = "LISTEN_FDS";
/// systemd's: whom they are for.
pub(crate) const LISTEN_PID: &str = "LISTEN_PID";
/// systemd's: what they are called.
pub(crate) const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// systemd's: whom they are for, by a number that is never used twice.
pub(crate) const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
/// Ours: what the listeners of `GUNICORN_FD` were bound to, in the same order.
pub(crate) const BOUND: &str = "GUNMETAL_BOUND";
/// What stands between two of them: the path of a unix socket may have a comma.
pub(crate) const BETWEEN_ADDRESSES: &str = "\n";
/// Ours: where a new master says that it is ready.
pub(crate) const READY: &str = "GUNMETAL_READY_FD";
/// Ours: the listener of the dirty arbiter, where its path is configured.
pub(crate) const DIRTY: &str = "GUNMETAL_DIRTY_FD";
/// All of them, for nobody below this process.
pub(crate) const VARIABLES: [&str; 9] =
    [GUNICORN_FD, GUNICORN_PID, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, LISTEN_PIDFDID, BOUND, READY, DIRTY];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<HandedOver, ServiceError> {
        let lookup = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        HandedOver::read(&lookup, 42)
    }

    #[test]
    fn listeners_come_with_what_they_were_bound_to_if_that_was_said() {
        let handed = read(&[
            (GUNICORN_FD, "5,7"),
            (GUNICORN_PID, "41"),
            (BOUND, "127.0.0.1:0\nunix:/a,b"),
            (READY, "9"),
        ]);
        let handed = handed.unwrap();
        assert_eq!(
            handed.listeners,
            [(5, "127.0.0.1:0".parse().ok()), (7, Some(BindAddress::Unix("/a,b".into())))]
        );
        assert_eq!((handed.master, handed.ready), (Some(41), Some(9)));
        assert_eq!(read(&[(GUNICORN_FD, "5")]).unwrap().listeners, [(5, None)]);
    }

    #[test]
    fn what_systemd_has_opened_is_for_the_process_that_it_names() {
        assert_eq!(read(&[(LISTEN_FDS, "2"), (LISTEN_PID, "42")]).unwrap().activated_count, 2);
        assert_eq!(read(&[(LISTEN_FDS, "2"), (LISTEN_PID, "41")]).unwrap().activated_count, 0);
        assert_eq!(read(&[(LISTEN_FDS, "2")]).unwrap().activated_count, 0);
        assert_eq!(read(&[(LISTEN_FDS, "two"), (LISTEN_PID, "41")]).unwrap().activated_count, 0);
        for count in ["two", "-1", "2147483647"] {
            assert!(read(&[(LISTEN_FDS, count), (LISTEN_PID, "42")]).is_err(), "{count}");
        }
    }

    #[test]
    fn a_variable_that_is_not_understood_is_named() {
        let error = read(&[(GUNICORN_FD, "5,x")]).unwrap_err().to_string();
        let expected = "environment variable GUNICORN_FD = \"5,x\" is not understood; allowed: descriptors between commas, as in 3,4";
        assert_eq!(error, expected);
    }
}
