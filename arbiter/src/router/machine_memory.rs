//! How much memory the machine has, or the container, or the service's group.

use std::fs;
use std::path::{Path, PathBuf};

/// A quarter of the memory that this process may use, in bytes; 1 GiB where the system doesn't say.
pub(super) fn quarter() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // `max` is no number, and no limit.
    let limits = limit_files(&groups)
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(machine).min().map_or(FALLBACK, |total: u64| total / 4)
}

/// The machine's memory by `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Where the limit of a process stands, by its `/proc/<pid>/cgroup`, and those of the groups around its own, which bind it
/// too: systemd limits a service that way. A container may see only the outermost, as its own.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        // Version 2 of the kernel's interface names no controllers.
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

const FALLBACK: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_memory_is_something_and_less_than_a_terabyte_times_sixteen() {
        assert!((1 << 20..1 << 44).contains(&quarter()));
        assert_eq!(total("MemTotal:       24683456 kB\nMemFree: 1 kB\n"), Some(24_683_456 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_limits_of_a_service_are_those_of_its_group_and_of_the_groups_around_it() {
        let files = |groups: &str| {
            let files = limit_files(groups).into_iter();
            files.map(|path| path.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            files("0::/system.slice/app.service\n"),
            [
                "/sys/fs/cgroup/system.slice/app.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(
            files("4:cpu,cpuacct:/a\n3:memory:/a:b\n1:name=systemd:/a\n"),
            [
                "/sys/fs/cgroup/memory/a:b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(files("rubbish\n"), [""; 0]);
    }
}
