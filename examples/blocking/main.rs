//! The service of `examples/small` without tokio in its HTTP workers: a thread for each connection.
//!
//! `cargo run --example blocking`, then `curl http://127.0.0.1:8000/World`. Ask for `/panic`, and see that a bug costs the
//! connection that met it and no other.

use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

use gunmetal::blocking::Client;
use gunmetal::dirty::prelude::*;
use gunmetal::{Connection, HttpWorker, Server, args};

struct Greeter;

#[dirty_app]
impl Greeter {
    fn init(_: &InitContext) -> Result<Self> {
        Ok(Greeter)
    }

    #[action]
    fn greet(&self, name: String) -> String {
        format!("Hello, {name}!")
    }
}

fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let client = worker.blocking_client()?;
    Ok(worker.serve_threads(|connection| answer_all(connection, &worker, &client))?)
}

/// Answers one request after the other: enough of HTTP for curl and browsers.
fn answer_all(connection: Connection, worker: &HttpWorker, client: &Client) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    while let Some(request) = Request::read(&mut connection)? {
        let (status, body) = answer(&request.path, client);
        // The client is told when it is to connect anew: a worker that is to shut down waits for this.
        let closes = request.closes || worker.shutdown_requested();
        let (length, after) = (body.len(), if closes { "close" } else { "keep-alive" });
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: {after}\r\n\r\n");
        connection.get_mut().write_all((head + &body).as_bytes())?;
        if closes {
            break;
        }
    }
    Ok(())
}

fn answer(path: &str, client: &Client) -> (&'static str, String) {
    match path.trim_start_matches('/') {
        "panic" => panic!("as the client wished"),
        "pid" => ("200 OK", std::process::id().to_string()),
        "nap" => {
            std::thread::sleep(Duration::from_secs(3));
            ("200 OK", "rested".into())
        }
        name => match client.execute("hello:Greeter", "greet", args![name]) {
            Ok(text) => ("200 OK", text),
            Err(error) => ("502 Bad Gateway", error.to_string()),
        },
    }
}

struct Request {
    path: String,
    /// Whether the client wants no other answer over this connection.
    closes: bool,
}

impl Request {
    /// The next request without a body; `None` if the client has asked its last one.
    fn read(connection: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut closes = line.trim_end().ends_with("HTTP/1.0");
        loop {
            line.clear();
            if connection.read_line(&mut line)? <= 2 {
                return Ok(Some(Request { path, closes }));
            }
            closes |= line.trim_end().eq_ignore_ascii_case("connection: close");
        }
    }
}

fn main() -> std::process::ExitCode {
    Server::new().app::<Greeter>("hello:Greeter").http(serve).run()
}
