//! The unit files of `examples/systemd`, as far as systemd can judge them without running them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::example_binary;

#[test]
fn systemd_understands_the_unit_files() {
    let Some(version) = version() else {
        eprintln!("systemd-analyze is missing: the unit files were not verified");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
    let paths = ["gunmetal.socket", "gunmetal.service"].map(|name| {
        let program = example_binary("systemd");
        let mut text = fs::read_to_string(units.join(name)).unwrap();
        text = text.replace("/usr/local/bin/greeter", program.to_str().unwrap());
        if version < 253 {
            text = text.replace("Type=notify-reload", "Type=notify");
        }
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    });
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&paths).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Of the machine's own units it may say anything.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("gunmetal")).collect();
    assert_eq!(of_ours, Vec::<&str>::new());
}

/// As in `systemd 252 (252.39-1~deb12u2)`.
fn version() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split(' ').nth(1)?.parse().ok()
}
