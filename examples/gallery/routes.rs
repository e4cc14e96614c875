//! The HTTP side: each route is one call to the app.

use std::convert::Infallible;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::prelude::*;
use futures_util::{Stream, StreamExt as _, stream};
use gunmetal::client::{CallError, Client};
use gunmetal::{Bytes, args};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::contact_sheet::Tile;
use crate::failure::Failure;
use crate::picture::{self, Info};
use crate::upload::Upload;
use crate::{image_app, page};

/// All routes of the service. The picture comes with each request: any worker can answer it.
pub(crate) fn routes(client: Client) -> Router {
    Router::new()
        .route("/thumbnail", post(thumbnail))
        .route("/info", post(info))
        .route("/tiles", post(tiles))
        .route("/ping", post(ping))
        .route("/crash", post(crash))
        .route("/hang", post(hang))
        .route("/workers", get(workers))
        .layer(DefaultBodyLimit::max(Upload::MAX_LEN))
        .with_state(client)
        .merge(page::routes())
}

#[derive(Deserialize)]
struct Thumbnail {
    #[serde(default = "default_size")]
    size: u32,
}

fn default_size() -> u32 {
    128
}

async fn thumbnail(
    State(client): State<Client>,
    Query(Thumbnail { size }): Query<Thumbnail>,
    Upload(image): Upload,
) -> Result<Response, Failure> {
    let file: Bytes = client.execute(image_app::PATH, "thumbnail", args![image; size = size]).await?;
    Ok(([(header::CONTENT_TYPE, picture::media_type(&file))], file).into_response())
}

async fn info(State(client): State<Client>, Upload(image): Upload) -> Result<Json<Info>, Failure> {
    Ok(Json(client.execute(image_app::PATH, "info", args![image]).await?))
}

#[derive(Deserialize)]
struct Tiles {
    #[serde(default = "default_across")]
    across: u32,
}

fn default_across() -> u32 {
    10
}

/// Answers with server-sent events, one for each tile, as the worker makes them. A visitor who leaves takes this
/// stream along; then the worker stops too.
async fn tiles(
    State(client): State<Client>,
    Query(Tiles { across }): Query<Tiles>,
    Upload(image): Upload,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let mut tiles = client.stream(image_app::PATH, "tiles", args![image; across = across]);
    // Whatever is wrong with the picture shows before the first tile, while an error status can still be sent.
    let first = tiles.next().await.transpose()?;
    Ok(Sse::new(stream::iter(first.map(Ok)).chain(tiles).map(|tile| Ok(event(tile)))))
}

fn event(tile: Result<Tile, CallError>) -> Event {
    match tile {
        Ok(Tile { row, column, rows, columns, image }) => {
            let image =
                format!("data:{};base64,{}", picture::media_type(&image), BASE64_STANDARD.encode(&image));
            let tile =
                json!({ "row": row, "column": column, "rows": rows, "columns": columns, "image": image });
            Event::default().event("tile").data(tile.to_string())
        }
        Err(error) => {
            let failure = json!({ "error": Failure::from(error).message });
            Event::default().event("failed").data(failure.to_string())
        }
    }
}

async fn ping(State(client): State<Client>) -> Result<Json<u32>, Failure> {
    Ok(Json(client.execute(image_app::PATH, "ping", ()).await?))
}

async fn crash(State(client): State<Client>) -> Result<(), Failure> {
    Ok(client.execute(image_app::PATH, "crash", ()).await?)
}

async fn hang(State(client): State<Client>) -> Result<(), Failure> {
    Ok(client.execute(image_app::PATH, "hang", ()).await?)
}

async fn workers(State(client): State<Client>) -> Result<Json<Value>, Failure> {
    let status = client.status().await?;
    let workers: Vec<Value> = status
        .workers
        .iter()
        .filter(|worker| worker.booted)
        .map(|worker| {
            let (uptime, calls) = (worker.uptime, worker.calls);
            json!({ "pid": worker.pid, "apps": worker.apps, "uptime": uptime, "calls": calls })
        })
        .collect();
    Ok(Json(json!({ "arbiter_pid": status.arbiter_pid, "workers": workers })))
}
