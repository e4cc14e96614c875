//! Reading what a companion writes.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer::Companion;
use super::{Output, Tail};
use crate::tool::output::{OutputClosed, written};

/// Prints the end of what the companion has written, and goes on with what it writes if that is wanted.
pub(super) fn tail(args: &Tail, companion: &Companion) -> anyhow::Result<()> {
    let path = file_of(companion, args.output)?;
    let mut file = open(&path)?;
    let start = match (args.lines, args.bytes) {
        (Some(count), _) => start_of_last_lines(&mut file, count),
        (None, count) => start_of_last_bytes(&mut file, count.unwrap_or(DEFAULT_LEN)),
    };
    let start = start.with_context(|| cannot_read(&path))?;
    let end = file.metadata().with_context(|| cannot_read(&path))?.len();
    let mut reader = Follower::new(file, path, start)?;
    if !args.follow {
        // It may grow faster than it is read.
        return reader.print(end.saturating_sub(start));
    }
    reader.print(u64::MAX)?;
    loop {
        pause()?;
        reader.go_on()?;
    }
}

/// The file that an output goes to.
fn file_of(companion: &Companion, output: Output) -> anyhow::Result<PathBuf> {
    let (name, path) = match output {
        Output::Stdout => ("stdout", &companion.stdout),
        Output::Stderr => ("stderr", &companion.stderr),
    };
    let Some(path) = path else {
        bail!(
            "{name} of {companion} has no file: it goes where that of the service goes, such as the journal (journalctl) or \
             the terminal; `{name} = \"/var/log/{companion}.log\"` in the configuration of {companion} gives it one",
            companion = companion.name
        );
    };
    Ok(PathBuf::from(path))
}

/// Reads a file on, whatever is done to it meanwhile.
struct Follower {
    path: PathBuf,
    file: File,
    /// What has been read.
    position: u64,
}

impl Follower {
    fn new(mut file: File, path: PathBuf, position: u64) -> anyhow::Result<Self> {
        file.seek(SeekFrom::Start(position)).with_context(|| cannot_read(&path))?;
        Ok(Self { path, file, position })
    }

    /// Prints what has come, from the file that is at the path now and from the one that was.
    fn go_on(&mut self) -> anyhow::Result<()> {
        self.print(u64::MAX)?;
        let open = self.file.metadata().with_context(|| cannot_read(&self.path))?;
        if open.len() < self.position {
            self.say("has been cut");
            self.start_anew()?;
        }
        // Moved away, and perhaps not made anew yet: until then the old one may still be written to.
        let Ok(file) = open_quietly(&self.path) else { return Ok(()) };
        let is_another =
            file.metadata().is_ok_and(|found| found.is_file() && identity(&found) != identity(&open));
        if is_another {
            refuse_own_output(&file, &self.path)?;
            // What came between the look above and the new file.
            self.print(u64::MAX)?;
            self.say("is a new file");
            self.file = file;
            self.start_anew()?;
        }
        Ok(())
    }

    /// Prints the rest of the open file, but no more than `limit` bytes.
    fn print(&mut self, limit: u64) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let mut buffer = vec![0; BLOCK_LEN];
        let mut rest = (&self.file).take(limit);
        loop {
            let len = match rest.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).with_context(|| cannot_read(&self.path)),
            };
            if len == 0 {
                return written(out.flush());
            }
            written(out.write_all(&buffer[..len]))?;
            self.position += u64::try_from(len)?;
        }
    }

    fn start_anew(&mut self) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start(0)).with_context(|| cannot_read(&self.path))?;
        self.position = 0;
        self.print(u64::MAX)
    }

    fn say(&self, what: &str) {
        eprintln!("gunmetal: {} {what}", self.path.display());
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = open_quietly(path).with_context(|| cannot_read(path))?;
    if !file.metadata().with_context(|| cannot_read(path))?.is_file() {
        bail!("{} is no file whose end could be read", path.display());
    }
    refuse_own_output(&file, path)?;
    Ok(file)
}

/// What is read from the file that it is written to comes again and again.
fn refuse_own_output(file: &File, path: &Path) -> anyhow::Result<()> {
    let found = file.metadata().with_context(|| cannot_read(path))?;
    let own = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    if own.is_ok_and(|own| identity(&own) == identity(&found)) {
        bail!("{} is where this output goes, and is not shown there", path.display());
    }
    Ok(())
}

/// Does not wait for somebody who writes, should it be a pipe.
fn open_quietly(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

fn cannot_read(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Waits a moment, unless whoever reads the output reads no more.
fn pause() -> anyhow::Result<()> {
    let stdout = io::stdout();
    let mut wait = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match poll(&mut wait, PollTimeout::try_from(LOOK_INTERVAL)?) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Ok(_) => Err(OutputClosed.into()),
        Err(errno) => Err(errno).context("cannot wait"),
    }
}

fn start_of_last_bytes(file: &mut (impl Read + Seek), count: u64) -> io::Result<u64> {
    Ok(file.seek(SeekFrom::End(0))?.saturating_sub(count))
}

/// Where the last `count` lines begin; the last one may have no end yet.
fn start_of_last_lines(file: &mut (impl Read + Seek), count: u64) -> io::Result<u64> {
    loop {
        match look_for_last_lines(file, count) {
            // It was cut meanwhile: of what is left, others are the last.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            found => return found,
        }
    }
}

/// The same, unless the file is cut meanwhile.
fn look_for_last_lines(file: &mut (impl Read + Seek), count: u64) -> io::Result<u64> {
    let len = file.seek(SeekFrom::End(0))?;
    if count == 0 {
        return Ok(len);
    }
    let mut ends = 0;
    let mut block = vec![0; BLOCK_LEN];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(BLOCK_LEN as u64);
        let part = &mut block[..usize::try_from(end - start).map_err(io::Error::other)?];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for (position, byte) in (start..end).rev().zip(part.iter().rev()) {
            // The end of the last line ends no line before it.
            if *byte == b'\n' && position + 1 < len {
                ends += 1;
                if ends == count {
                    return Ok(position + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// What supervisorctl shows, in bytes.
const DEFAULT_LEN: u64 = 1600;
/// What is read at a time, in bytes.
const BLOCK_LEN: usize = 64 << 10;
/// How often a file that is followed is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn last_lines(text: &str, count: u64) -> &str {
        let start = start_of_last_lines(&mut Cursor::new(text), count).unwrap();
        &text[usize::try_from(start).unwrap()..]
    }

    #[test]
    fn the_last_lines_begin_behind_the_end_of_the_one_before_them() {
        for (text, count, expected) in [
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\n\n\n", 2, "\n\n"),
            ("a\n", 0, ""),
            ("", 1, ""),
            ("\n", 1, "\n"),
        ] {
            assert_eq!(last_lines(text, count), expected, "{count} of {text:?}");
        }
    }

    #[test]
    fn the_last_lines_may_lie_in_several_blocks() {
        let line = format!("{}\n", "x".repeat(1000));
        let text = line.repeat(200);
        assert_eq!(last_lines(&text, 150), line.repeat(150));
        let long = format!("a\n{}\n", "y".repeat(3 * BLOCK_LEN));
        assert_eq!(last_lines(&long, 1), &long[2..]);
        // An end on the edge of a block.
        let edge = format!("{}\n{}", "a".repeat(BLOCK_LEN - 1), "b".repeat(BLOCK_LEN));
        assert_eq!(last_lines(&edge, 1), &edge[BLOCK_LEN..]);
    }

    /// A file that has been cut when it is first read.
    struct Cut {
        before: Cursor<Vec<u8>>,
        after: Option<Vec<u8>>,
    }

    impl Read for Cut {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if let Some(after) = self.after.take() {
                *self.before.get_mut() = after;
            }
            self.before.read(buffer)
        }
    }

    impl Seek for Cut {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.before.seek(to)
        }
    }

    #[test]
    fn of_a_file_that_is_cut_meanwhile_the_last_lines_are_those_that_are_left() {
        for (after, expected) in [("", 0), ("a\nb\n", 2), ("a\nb", 2)] {
            let before = Cursor::new("x\n".repeat(BLOCK_LEN).into_bytes());
            let mut file = Cut { before, after: Some(after.into()) };
            assert_eq!(start_of_last_lines(&mut file, 1).unwrap(), expected, "{after:?}");
        }
    }

    #[test]
    fn the_last_bytes_are_no_more_than_there_are() {
        let start = |text: &str, count| start_of_last_bytes(&mut Cursor::new(text), count).unwrap();
        assert_eq!((start("abc", 2), start("abc", 3), start("abc", 4), start("", 1)), (1, 0, 0, 0));
    }
}
