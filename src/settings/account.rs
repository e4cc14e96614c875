//! Whom workers run as.

use nix::unistd::{Gid, Group, Uid, User};

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

impl UserName {
    /// The user of that name, or of that id: digits are an id, as in gunicorn.
    pub(super) fn find(text: &str) -> Result<Self, String> {
        let unreadable = |error: nix::Error| format!("the user database cannot be read: {error}");
        let Some(uid) = id(text)? else {
            let user = User::from_name(text).map_err(unreadable)?;
            return user.map(Self::of).ok_or_else(|| format!("there is no user {text:?}"));
        };
        let user = User::from_uid(Uid::from_raw(uid)).map_err(unreadable)?;
        Ok(user.map_or(Self { name: None, uid, gid: None }, Self::of))
    }

    fn of(user: User) -> Self {
        Self { name: Some(user.name), uid: user.uid.as_raw(), gid: Some(user.gid.as_raw()) }
    }
}

impl GroupName {
    /// The group of that name, or of that id: digits are an id, as in gunicorn.
    pub(super) fn find(text: &str) -> Result<Self, String> {
        let unreadable = |error: nix::Error| format!("the group database cannot be read: {error}");
        let Some(gid) = id(text)? else {
            let group = Group::from_name(text).map_err(unreadable)?;
            return group.map(Self::of).ok_or_else(|| format!("there is no group {text:?}"));
        };
        let group = Group::from_gid(Gid::from_raw(gid)).map_err(unreadable)?;
        Ok(group.map_or(Self { name: None, gid }, Self::of))
    }

    fn of(group: Group) -> Self {
        Self { name: Some(group.name), gid: group.gid.as_raw() }
    }
}

/// The id that `text` is, if it is one and not a name.
fn id(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if !text.trim_start_matches('-').bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(None);
    }
    // The largest number means "as before" to setresuid(2): it is nobody's.
    match text.parse() {
        Ok(id) if id < u32::MAX => Ok(Some(id)),
        _ => Err(format!("not an id from 0 to {}", u32::MAX - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_name_and_by_its_id() {
        let root = UserName::find("root").unwrap();
        assert_eq!(root, UserName { name: Some("root".into()), uid: 0, gid: Some(0) });
        assert_eq!(UserName::find("0"), Ok(root));
        let group = GroupName::find("0").unwrap();
        assert_eq!(group.gid, 0);
        assert_eq!(GroupName::find(group.name.as_deref().unwrap()), Ok(group));
    }

    #[test]
    fn an_id_needs_no_account() {
        let id = 3_123_456_789;
        assert_eq!(UserName::find("3123456789"), Ok(UserName { name: None, uid: id, gid: None }));
        assert_eq!(GroupName::find("3123456789"), Ok(GroupName { name: None, gid: id }));
    }

    #[test]
    fn a_name_that_nobody_has_is_named() {
        let name = "no-such-account";
        assert_eq!(UserName::find(name), Err("there is no user \"no-such-account\"".into()));
        assert_eq!(GroupName::find(name), Err("there is no group \"no-such-account\"".into()));
        for bad in ["-1", "4294967295", "99999999999", ""] {
            assert!(UserName::find(bad).is_err() && GroupName::find(bad).is_err(), "{bad:?}");
        }
    }
}
