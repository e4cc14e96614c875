//! The page and its sample pictures, part of the program: there is nothing to install beside it.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

/// The routes of everything that does not change.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_bytes!("page/index.html")))
        .route("/style.css", file("text/css", include_bytes!("page/style.css")))
        .route("/pictures.js", script(include_bytes!("page/pictures.js")))
        .route("/pulse.js", script(include_bytes!("page/pulse.js")))
        .route("/service.js", script(include_bytes!("page/service.js")))
        .route("/sheet.js", script(include_bytes!("page/sheet.js")))
        .route("/show.js", script(include_bytes!("page/show.js")))
        .route("/workers.js", script(include_bytes!("page/workers.js")))
        .route("/icon.svg", file("image/svg+xml", include_bytes!("page/icon.svg")))
        .route("/samples/lake.jpg", file("image/jpeg", include_bytes!("samples/lake.jpg")))
        .route("/samples/lights.webp", file("image/webp", include_bytes!("samples/lights.webp")))
        .route("/samples/marbles.png", file("image/png", include_bytes!("samples/marbles.png")))
}

fn script(content: &'static [u8]) -> MethodRouter {
    file("text/javascript", content)
}

fn file(media_type: &'static str, content: &'static [u8]) -> MethodRouter {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        // Nothing from elsewhere: pictures of visitors are shown, but never sent anywhere else.
        (header::CONTENT_SECURITY_POLICY, "default-src 'self'; img-src 'self' blob: data:"),
    ];
    get(move || async move { (headers, content).into_response() })
}
