//! A child has what it names, and nothing else.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;

use gunmetal_supervise::{ChildSetup, Heartbeat, OnExec, bind_unix, set_on_exec};

use crate::Case;
use crate::cases::{await_go, child, go, open_descriptors, pipe, read_all};

pub(crate) const CASES: &[Case] = &[
    ("descriptors::a_child_keeps_only_what_it_names", a_child_keeps_only_what_it_names),
    ("descriptors::a_kept_listener_still_accepts", a_kept_listener_still_accepts),
    (
        "descriptors::a_child_touches_the_heartbeat_its_parent_made",
        a_child_touches_the_heartbeat_its_parent_made,
    ),
    (
        "descriptors::a_descriptor_crosses_an_exec_only_if_told_to",
        a_descriptor_crosses_an_exec_only_if_told_to,
    ),
];

fn a_child_keeps_only_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let _listener = bind_unix(&dir.path().join("s")).unwrap();
    let _files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
    let kept = File::open("/dev/zero").unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        let setup = ChildSetup::new("test: child").keep(&kept).keep(&writer).keep(&kept);
        let parent = newborn.become_child(setup).unwrap();
        let open: Vec<String> = open_descriptors().iter().map(ToString::to_string).collect();
        write!(&writer, "{} {}", parent.as_fd().as_raw_fd(), open.join(" ")).unwrap();
        0
    });
    let expected = [0, 1, 2, kept.as_raw_fd(), writer.as_raw_fd()];
    drop(writer);
    let report = read_all(reader);
    let numbers: Vec<i32> = report.split(' ').map(|number| number.parse().unwrap()).collect();
    let (parent, open) = numbers.split_first().unwrap();
    let mut expected: BTreeSet<i32> = expected.into_iter().collect();
    expected.insert(*parent);
    assert_eq!(open.iter().copied().collect::<BTreeSet<_>>(), expected);
    child.wait_in_time();
}

fn a_kept_listener_still_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = bind_unix(&path).unwrap();
    let mut child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: child").keep(&listener)).unwrap();
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        0
    });
    drop(listener);
    let mut answer = String::new();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
    assert_eq!(answer, "hello");
    child.wait_in_time();
}

fn a_child_touches_the_heartbeat_its_parent_made() {
    let heartbeat = Heartbeat::create_in(&std::env::temp_dir()).unwrap();
    let before = heartbeat.last_touch().unwrap();
    let (reader, writer) = pipe();
    let mut child = child(|newborn| {
        newborn.become_child(ChildSetup::new("test: child").keep(&heartbeat).keep(&writer)).unwrap();
        heartbeat.touch().unwrap();
        go(&writer);
        0
    });
    await_go(&reader);
    assert!(heartbeat.last_touch().unwrap() > before);
    child.wait_in_time();
}

fn a_descriptor_crosses_an_exec_only_if_told_to() {
    let file = tempfile::tempfile().unwrap();
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let is_inherited = || Command::new("readlink").arg(&link).output().unwrap().status.success();
    assert!(!is_inherited());
    set_on_exec(&file, OnExec::Keep).unwrap();
    assert!(is_inherited());
    set_on_exec(&file, OnExec::Close).unwrap();
    assert!(!is_inherited());
}
