//! Whom workers run as.

/// A user of this machine, as it was looked up when the settings were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// Its name; `None` for a number that no account has.
    pub name: Option<String>,
    /// Its id.
    pub uid: u32,
    /// The group of the account, if there is one.
    pub gid: Option<u32>,
}

/// A group of this machine, as it was looked up when the settings were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    /// Its name; `None` for a number that no group has.
    pub name: Option<String>,
    /// Its id.
    pub gid: u32,
}
