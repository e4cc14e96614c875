//! Files in the run directory, which belongs to whom the workers run as: one that has gone astray may have put anything there.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Makes a file in the place of what is there, at once and whole. A link is replaced and not followed.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(&unfinished)?.write_all(bytes)?;
    fs::rename(unfinished, path)
}

/// Reads a file: no link, no pipe, which might never be written to, and none without an end.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// In bytes: more than the names of all apps.
const MAX_LEN: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_link_is_replaced_and_neither_it_nor_a_pipe_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("slots"), dir.path().join("precious"));
        fs::write(&precious, "data").unwrap();
        symlink(&precious, &path).unwrap();
        symlink(&precious, path.with_extension("new")).unwrap();
        assert!(read(&path).is_err());
        write(&path, b"3").unwrap();
        assert_eq!((read(&path).unwrap(), fs::read(&precious).unwrap()), (b"3".to_vec(), b"data".to_vec()));
        let pipe = dir.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert!(read(&pipe).is_err());
    }
}
