//! A service whose answers say who gave them: the worker's pid, and by its size which build of the program that worker is,
//! so that reloads and upgrades can be watched from outside: `cargo run --example whoami`, then
//! `curl -i http://127.0.0.1:8000/`.
//!
//! `/large/N` answers with N bytes, `/slow/N` after N milliseconds.

use std::fs;
use std::future::ready;
use std::time::Duration;

use axum::{Router, extract::Path, http::HeaderValue, middleware, response::Response, routing::get};
use gunmetal::{HttpWorker, Server};

async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let worker_pid = HeaderValue::from(std::process::id());
    // By this name even where the file that was started has been replaced.
    let program_len = HeaderValue::from(fs::metadata("/proc/self/exe")?.len());
    let sign = move |mut response: Response| {
        response.headers_mut().insert("x-worker-pid", worker_pid.clone());
        response.headers_mut().insert("x-program-len", program_len.clone());
        ready(response)
    };
    let app = Router::new()
        .route("/", get(async || "Hello, World!"))
        .route("/large/{len}", get(async |Path(len): Path<usize>| "x".repeat(len.min(LARGEST))))
        .route("/slow/{millis}", get(slow))
        .layer(middleware::map_response(sign));
    Ok(worker.serve(app).await?)
}

async fn slow(Path(millis): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    "At last!"
}

fn main() -> std::process::ExitCode {
    Server::new().http_async(serve).run()
}

/// Bytes of the largest answer.
const LARGEST: usize = 64 << 20;
