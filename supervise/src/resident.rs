//! How much memory a process takes.

use std::fs;
use std::io;

use crate::Pid;

/// The resident memory of a process in bytes, what it shares with others included. See proc_pid_status(5), `VmRSS`.
///
/// # Errors
///
/// The process is gone, or what `/proc` says of it cannot be read.
pub fn resident_len(pid: Pid) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    // A zombie has none.
    Ok(kib.unwrap_or(0) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_written_to_is_resident() {
        let pid = Pid::this();
        let before = resident_len(pid).unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_len(pid).unwrap();
        assert!(after >= before + (48 << 20), "{before} before, {after} after {} bytes", block.len());
    }
}
