//! A gallery: HTTP workers that stay free, because dirty workers do the heavy and dangerous work on pictures.
//!
//! `cargo run --release --example gallery`, then open the address that it prints and drop a photo on the page.
//!
//! The path of a picture: the page (`page/`) sends it to a route (`routes.rs`), which calls an action of the app
//! (`image_app.rs`) in a process of its own, where plain functions (`picture.rs`, `contact_sheet.rs`) decode it.

mod contact_sheet;
mod failure;
mod image_app;
mod page;
mod picture;
mod routes;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use gunmetal::{HttpWorker, Server};
use image_app::ImageApp;

fn main() -> ExitCode {
    Server::new()
        .workers(2)
        .http_async(serve)
        .app::<ImageApp>(image_app::PATH)
        .dirty_workers(3)
        // Short, so that a visitor can watch how a worker that hangs is replaced.
        .dirty_timeout(Duration::from_secs(5))
        .run()
}

/// What each HTTP worker does: an ordinary axum service that calls the app through a client.
async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    Ok(worker.serve(routes::routes(worker.client()?)).await?)
}
