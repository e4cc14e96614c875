//! How much memory the machine has, or the container.

/// A quarter of the memory that this process may use, in bytes; 1 GiB where the system doesn't say.
pub(super) fn quarter() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let container =
        CGROUP_LIMITS.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    container.chain(machine).min().map_or(FALLBACK, |total: u64| total / 4)
}

/// The machine's memory by `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Where a container's limit stands, in version 2 and 1 of the kernel's interface; `max` where there is none.
const CGROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

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
}
