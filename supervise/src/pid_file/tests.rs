use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn it_names_this_process_for_this_user_only_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pid");
    let file = PidFile::keep(&path).unwrap();
    assert!(!file.was_left_behind());
    file.name_this_process().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    // Not by another one.
    assert_eq!(file.named().unwrap(), None);
    file.remove();
    assert!(!path.exists());
}

#[test]
fn what_a_crash_left_is_taken_over_whomever_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pid");
    for left in ["1\n".to_owned(), format!("{}\n", std::process::id()), "99999999999999999".to_owned()] {
        fs::write(&path, left).unwrap();
        let file = PidFile::keep(&path).unwrap();
        assert!(file.was_left_behind());
        assert_eq!(file.named().unwrap(), None);
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("precious"), "7\n").unwrap();
    symlink(at("precious"), at("link")).unwrap();
    fs::hard_link(at("precious"), at("other name")).unwrap();
    fs::write(at("garbage"), "-1; rm").unwrap();
    fs::write(at("long"), "1".repeat(40)).unwrap();
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("open to all"), "7\n").unwrap();
    fs::set_permissions(at("open to all"), fs::Permissions::from_mode(0o666)).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, expected) in [
        ("link", "it is a symbolic link"),
        ("other name", "it has 2 names"),
        ("garbage", "it holds something else than a pid"),
        ("directory", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
        ("open to all", "others may write to it (mode 666)"),
    ] {
        match PidFile::keep(at(name)) {
            Err(PidFileError::NotTrusted { reason, .. }) => assert_eq!(reason, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "7\n");
    assert_eq!(fs::read_to_string(at("garbage")).unwrap(), "-1; rm");
}

/// Only root can make such a file.
#[test]
fn somebody_else_s_file_is_left_alone() {
    if !geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pid");
    fs::write(&path, "7\n").unwrap();
    nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(65_534)), None).unwrap();
    let error = PidFile::keep(&path).unwrap_err();
    assert!(
        matches!(&error, PidFileError::NotTrusted { reason, .. } if reason == "it belongs to user 65534"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "7\n");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = PidFile::keep(dir.path().join("none/a.pid")).unwrap_err();
    assert!(matches!(error, PidFileError::Open { .. }), "{error}");
}

#[test]
fn a_file_is_moved_over_what_an_ended_process_has_left_and_over_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut file = PidFile::keep_readable(at("a.pid.2")).unwrap();
    assert_eq!(fs::metadata(at("a.pid.2")).unwrap().mode() & 0o7777, 0o644);
    file.name_this_process().unwrap();
    fs::write(at("a.pid"), "1\n").unwrap();
    file.rename(at("a.pid")).unwrap();
    assert!(!at("a.pid.2").exists());
    assert_eq!(fs::read_to_string(at("a.pid")).unwrap(), format!("{}\n", std::process::id()));
    fs::write(at("precious"), "data").unwrap();
    assert!(matches!(file.rename(at("precious")), Err(PidFileError::NotTrusted { .. })));
    assert_eq!(file.path(), at("a.pid"));
    // Nobody else keeps that, and its own file is no other.
    assert!(!file.is_other_and_kept(&at("precious")));
    assert!(!file.is_other_and_kept(&at("a.pid")));
    file.remove();
    assert!(!at("a.pid").exists());
}
