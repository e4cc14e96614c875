//! How a process ended, as a plain value.

use std::fmt;

/// How a process ended: `wait(2)`'s status word, decoded.
///
/// ```
/// use gunmetal_supervise::ExitStatus;
/// assert_eq!(ExitStatus::Code(3).to_string(), "exited with code 3");
/// assert_eq!(ExitStatus::Signal { signal: 9, core: false }.to_string(), "killed by signal 9 (SIGKILL)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It called `exit` with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number: a number, since real-time signals have no name.
        signal: i32,
        /// Whether it left a core dump.
        core: bool,
    },
    /// It has ended, and another process was told how.
    Unknown,
}

impl ExitStatus {
    /// Whether this is `exit(0)`.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == ExitStatus::Code(0)
    }

    /// The exit code, or `None` if a signal ended the process or nobody knows.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal { .. } | ExitStatus::Unknown => None,
        }
    }

    /// The number of the signal that ended the process, if one did.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            ExitStatus::Code(_) | ExitStatus::Unknown => None,
            ExitStatus::Signal { signal, .. } => Some(signal),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Code(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signal { signal, core } => {
                match nix::sys::signal::Signal::try_from(signal) {
                    Ok(name) => write!(f, "killed by signal {signal} ({name})")?,
                    Err(_) => write!(f, "killed by signal {signal}")?,
                }
                if core {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
            ExitStatus::Unknown => f.write_str("ended, its exit status is unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_time_signal_is_shown_by_its_number() {
        assert_eq!(ExitStatus::Signal { signal: 40, core: false }.to_string(), "killed by signal 40");
    }

    #[test]
    fn a_core_dump_is_mentioned() {
        let status = ExitStatus::Signal { signal: 6, core: true };
        assert_eq!(status.to_string(), "killed by signal 6 (SIGABRT), core dumped");
    }
}
