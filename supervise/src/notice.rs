//! A child's wish, told to its parent while it serves.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Makes the pipe by which a child says one thing to its parent, whenever it comes to that.
///
/// # Errors
///
/// What `pipe2(2)` refused.
pub fn notice_pipe() -> io::Result<(NoticeReader, NoticeWriter)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((NoticeReader { pipe: read.into() }, NoticeWriter { pipe: write.into() }))
}

/// The child's end. Dropped without a word, it says nothing.
#[derive(Debug)]
pub struct NoticeWriter {
    pipe: File,
}

impl NoticeWriter {
    /// Says it. A text beyond 4 KiB is cut, so that it arrives whole.
    ///
    /// # Errors
    ///
    /// `EPIPE`, if the parent is gone or does not listen.
    pub fn send(mut self, text: &str) -> io::Result<()> {
        let bytes: Vec<u8> = text.bytes().take(MAX_TEXT_LEN).collect();
        self.pipe.write_all(&bytes)
    }
}

impl AsFd for NoticeWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The parent's end. Never blocks.
#[derive(Debug)]
pub struct NoticeReader {
    pipe: File,
}

impl NoticeReader {
    /// What the child said: `None` if it closed its end without a word. To be read once, when there is something to read.
    ///
    /// # Errors
    ///
    /// What `read(2)` refused.
    pub fn read(mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; MAX_TEXT_LEN];
        // Written at once and no longer than the kernel writes in one piece, so read at once.
        let len = self.pipe.read(&mut buffer)?;
        Ok((len > 0).then(|| String::from_utf8_lossy(&buffer[..len]).into_owned()))
    }
}

impl AsFd for NoticeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// What the kernel writes to a pipe in one piece, see pipe(7).
const MAX_TEXT_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_arrives_and_silence_is_none() {
        let (reader, writer) = notice_pipe().unwrap();
        writer.send("had its share").unwrap();
        assert_eq!(reader.read().unwrap().as_deref(), Some("had its share"));
        let (reader, writer) = notice_pipe().unwrap();
        drop(writer);
        assert_eq!(reader.read().unwrap(), None);
    }

    #[test]
    fn a_long_text_is_cut_and_blocks_nobody() {
        let (reader, writer) = notice_pipe().unwrap();
        writer.send(&"x".repeat(1 << 20)).unwrap();
        assert_eq!(reader.read().unwrap(), Some("x".repeat(MAX_TEXT_LEN)));
    }
}
