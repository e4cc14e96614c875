//! Text from files whose paths somebody has written down, whatever there is at those paths.

use std::fs::{FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Reads the file at `path`, which must be a regular one of no more than [`MAX_LEN`] bytes.
///
/// Waits for nobody: a pipe in the file's place would keep whoever reads it for ever, and a device might never end.
///
/// # Errors
/// It cannot be read, or is something else.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    // Before it is opened, since that may have an effect on a device, and is refused without a reason by a socket.
    check(path.metadata()?.file_type())?;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    // It may be another one by now.
    check(file.metadata()?.file_type())?;
    let mut text = String::new();
    file.take(MAX_LEN + 1).read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(len) if len <= MAX_LEN => Ok(text),
        _ => Err(io::Error::other(format!("it is larger than {} MiB", MAX_LEN >> 20))),
    }
}

fn check(found: FileType) -> io::Result<()> {
    let kind = match found {
        _ if found.is_file() => return Ok(()),
        _ if found.is_dir() => "a directory",
        _ if found.is_fifo() => "a pipe",
        _ if found.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("it is {kind} and no regular file")))
}

/// In bytes; far more than anybody writes.
const MAX_LEN: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("device")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for kind in ["pipe", "socket", "device", "directory"] {
            let words = read(&at(kind)).unwrap_err().to_string();
            assert_eq!(words, format!("it is a {kind} and no regular file"));
        }
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a = 1\n").unwrap();
        assert_eq!(read(file.path()).unwrap(), "a = 1\n");
        file.as_file().set_len(MAX_LEN).unwrap();
        assert_eq!(read(file.path()).unwrap().len() as u64, MAX_LEN);
        file.as_file().set_len(MAX_LEN + 1).unwrap();
        assert_eq!(read(file.path()).unwrap_err().to_string(), "it is larger than 16 MiB");
        std::fs::write(file.path(), b"\xff").unwrap();
        assert_eq!(read(file.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
