//! One request on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Asks for `path` until somebody answers well; returns the body.
///
/// # Errors
///
/// Nobody does within [`PATIENCE`].
pub(crate) fn first(port: u16, path: &str) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(port, path) {
            Ok(body) => return Ok(body),
            // Not yet: nobody listens, or who had the request is gone.
            Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.context(format!("no answer for {PATIENCE:?}"))),
        }
    }
}

/// Asks once; returns the body of a 200.
pub(crate) fn ask(port: u16, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
    socket.set_read_timeout(Some(PATIENCE)).context("setting a timeout")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).context("writing a request")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).context("reading an answer")?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("half an answer: {answer:?}") };
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let len = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    ensure!(len == Some(body.len()), "a body of {} bytes instead of {len:?}", body.len());
    Ok(body.to_owned())
}

/// How long a service may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries: shorter than anything measured, and long enough to leave the service its core.
const PAUSE: Duration = Duration::from_micros(100);
