//! A web service without dirty apps: `cargo run --example hello`, then `curl http://127.0.0.1:8000/`.
//!
//! With `--keyfile key.pem --certfile cert.pem` it speaks HTTPS.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get, routing::post};
use gunmetal::{HttpWorker, Server};

async fn serve(worker: HttpWorker) -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get("Hello, World!"))
        // Which worker answers: each is a process of its own.
        .route("/pid", get(async || std::process::id().to_string()))
        .route("/sleep/{ms}", get(sleep))
        // An answer as large as one likes, which a client may read as slowly as it likes.
        .route("/zeros/{count}", get(async |Path(count): Path<usize>| "0".repeat(count)))
        .route("/length", post(async |body: String| body.len().to_string()));
    worker.serve(app).await
}

/// An answer that takes its time: a reload waits for it.
async fn sleep(Path(ms): Path<u64>) -> String {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    format!("slept {ms} ms")
}

fn main() -> std::process::ExitCode {
    Server::new().http_async(serve).run()
}
