//! The service of `examples/small` without tokio in its HTTP workers: a thread for each connection.
//!
//! `cargo run --example blocking`, then `curl http://127.0.0.1:8000/World`.

use std::io::{BufRead, BufReader, Write};
use std::thread;

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
    // The scope waits for the connections that are open when the worker is to shut down.
    thread::scope(|scope| {
        while let Some(connection) = worker.accept()? {
            let client = &client;
            scope.spawn(move || answer(connection, client));
        }
        Ok(())
    })
}

/// Answers one request and closes: enough of HTTP for curl.
fn answer(connection: Connection, client: &Client) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let (mut request, mut header) = (String::new(), String::new());
    connection.read_line(&mut request)?;
    while connection.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match client.execute("hello:Greeter", "greet", args![path.trim_start_matches('/')]) {
        Ok(text) => ("200 OK", text),
        Err(error) => ("502 Bad Gateway", error.to_string()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    connection.get_mut().write_all((head + &body).as_bytes())
}

fn main() -> std::process::ExitCode {
    Server::new().app::<Greeter>("hello:Greeter").http(serve).run()
}
