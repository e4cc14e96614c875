//! A child's one message to its parent: ready, or why not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Makes the pipe of one child: the reader stays, the writer goes into the child.
///
/// On the pipe is `R` for ready, or `E` and a text. An end without either means that the child died.
///
/// # Errors
///
/// What `pipe2(2)` refused.
pub fn readiness_pipe() -> io::Result<(ReadyReader, ReadyWriter)> {
    // The writer need not block: a pipe holds more than the most that is written.
    let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((ReadyReader { pipe: read.into(), text: None }, ReadyWriter { pipe: write.into() }))
}

/// The child's end. Dropped without a word, it tells that the child will never be ready.
#[derive(Debug)]
pub struct ReadyWriter {
    pipe: File,
}

impl ReadyWriter {
    /// Says that the child is ready.
    ///
    /// # Errors
    ///
    /// `EPIPE`, if the parent is gone.
    pub fn ready(mut self) -> io::Result<()> {
        self.pipe.write_all(b"R")
    }

    /// Says that the child cannot start, and why. A text beyond 32 KiB is cut.
    ///
    /// # Errors
    ///
    /// As [`ready`](ReadyWriter::ready).
    pub fn failed(mut self, error: &str) -> io::Result<()> {
        let mut message = vec![b'E'];
        message.extend(error.bytes().take(MAX_TEXT_LEN));
        self.pipe.write_all(&message)
    }
}

/// For a pipe that came through an exec.
impl From<OwnedFd> for ReadyWriter {
    fn from(pipe: OwnedFd) -> Self {
        Self { pipe: pipe.into() }
    }
}

impl AsFd for ReadyWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// What a child said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready.
    Ready,
    /// It cannot start, for this reason.
    Failed(String),
    /// It closed the pipe without a word: it ended, or is about to.
    Died,
}

/// The parent's end. Never blocks.
#[derive(Debug)]
pub struct ReadyReader {
    pipe: File,
    /// The text so far, once the `E` has come.
    text: Option<Vec<u8>>,
}

impl ReadyReader {
    /// What the child said; `None` while it has said nothing, or not all. Drop the reader after the first answer.
    ///
    /// # Errors
    ///
    /// What `read(2)` refused.
    pub fn read(&mut self) -> io::Result<Option<Readiness>> {
        let mut buffer = [0; 4096];
        loop {
            let len = match self.pipe.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut news = &buffer[..len];
            if self.text.is_none() {
                match news.split_first() {
                    None => return Ok(Some(Readiness::Died)),
                    Some((b'R', _)) => return Ok(Some(Readiness::Ready)),
                    // Anything else is no message of ours, but worth showing.
                    Some((tag, rest)) => news = if *tag == b'E' { rest } else { news },
                }
            }
            let text = self.text.get_or_insert_default();
            text.extend(&news[..news.len().min(MAX_TEXT_LEN - text.len())]);
            if len == 0 {
                return Ok(Some(self.failure()));
            }
        }
    }

    /// What the child has said, now that it has ended: the end of the pipe is not waited for, since a process that
    /// the child started may hold it open.
    #[must_use]
    pub fn last_words(mut self) -> Readiness {
        match self.read() {
            Ok(Some(readiness)) => readiness,
            Ok(None) | Err(_) if self.text.is_some() => self.failure(),
            Ok(None) | Err(_) => Readiness::Died,
        }
    }

    fn failure(&mut self) -> Readiness {
        let text = self.text.take().unwrap_or_default();
        Readiness::Failed(String::from_utf8_lossy(&text).into_owned())
    }
}

impl AsFd for ReadyReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Longest error text, in bytes: half of what a pipe holds.
const MAX_TEXT_LEN: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_neither_ready_nor_dead() {
        let (mut reader, _writer) = readiness_pipe().unwrap();
        assert_eq!(reader.read().unwrap(), None);
    }

    #[test]
    fn ready_is_one_byte() {
        let (mut reader, writer) = readiness_pipe().unwrap();
        writer.ready().unwrap();
        assert_eq!(reader.read().unwrap(), Some(Readiness::Ready));
    }

    #[test]
    fn an_error_text_arrives_whole() {
        let (mut reader, writer) = readiness_pipe().unwrap();
        let text = "no model at /models/ü.bin\n".repeat(900);
        writer.failed(&text).unwrap();
        assert_eq!(reader.read().unwrap(), Some(Readiness::Failed(text)));
    }

    #[test]
    fn an_endless_error_text_is_cut_and_blocks_nobody() {
        let (mut reader, writer) = readiness_pipe().unwrap();
        writer.failed(&"x".repeat(1 << 20)).unwrap();
        assert_eq!(reader.read().unwrap(), Some(Readiness::Failed("x".repeat(MAX_TEXT_LEN))));
    }

    #[test]
    fn a_pipe_closed_without_a_word_means_death() {
        let (mut reader, writer) = readiness_pipe().unwrap();
        drop(writer);
        assert_eq!(reader.read().unwrap(), Some(Readiness::Died));
    }

    #[test]
    fn last_words_need_no_end_of_the_pipe() {
        let (reader, mut writer) = readiness_pipe().unwrap();
        writer.pipe.write_all(b"Eno licence").unwrap();
        assert_eq!(reader.last_words(), Readiness::Failed("no licence".to_owned()));
    }

    #[test]
    fn a_child_that_said_nothing_leaves_no_last_words() {
        let (reader, _writer) = readiness_pipe().unwrap();
        assert_eq!(reader.last_words(), Readiness::Died);
    }

    #[test]
    fn text_without_a_tag_is_shown_as_it_is() {
        let (mut reader, mut writer) = readiness_pipe().unwrap();
        writer.pipe.write_all(b"what?").unwrap();
        drop(writer);
        assert_eq!(reader.read().unwrap(), Some(Readiness::Failed("what?".to_owned())));
    }
}
