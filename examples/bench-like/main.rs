//! A web tier and the processes beside it, under one roof: a scheduler and two queue workers, which are functions of this
//! program, and a Python script that tells the world how it goes. See `README.md` beside this file.

mod companions;
mod primes;
mod spool;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use gunmetal::{HttpWorker, Server, preloaded};
use primes::Primes;
use spool::{Counts, Spool};

/// What all processes of the service share: the master loads it once, before the first of them is forked.
struct Loaded {
    primes: Primes,
    spool: Spool,
}

impl Loaded {
    fn load() -> anyhow::Result<Self> {
        Ok(Self { primes: Primes::below(LIMIT), spool: Spool::open()? })
    }

    fn get() -> anyhow::Result<Arc<Self>> {
        preloaded().context("nothing is preloaded")
    }
}

/// The web tier: takes jobs, and knows what became of them.
async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/", get(counts))
        .route("/jobs", post(enqueue))
        .route("/jobs/{id}", get(result))
        .with_state(Loaded::get()?);
    Ok(worker.serve(app).await?)
}

type Answer<T> = Result<T, (StatusCode, String)>;

async fn counts(State(loaded): State<Arc<Loaded>>) -> Answer<Json<Counts>> {
    loaded.spool.counts().map(Json).map_err(failed)
}

async fn enqueue(State(loaded): State<Arc<Loaded>>, body: String) -> Answer<(StatusCode, String)> {
    let number = body.trim().parse().ok().filter(|number| (2..=LARGEST).contains(number));
    let bad = || (StatusCode::BAD_REQUEST, format!("{body:?} is no number from 2 to {LARGEST}\n"));
    let id = loaded.spool.put(number.ok_or_else(bad)?).map_err(failed)?;
    Ok((StatusCode::ACCEPTED, format!("{id}\n")))
}

async fn result(State(loaded): State<Arc<Loaded>>, Path(id): Path<String>) -> Answer<String> {
    let none = || (StatusCode::NOT_FOUND, format!("no result of job {id:?}, or not yet\n"));
    loaded.spool.result(&id).map_err(failed)?.ok_or_else(none)
}

fn failed(error: std::io::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn main() -> ExitCode {
    Server::new()
        .preload(Loaded::load)
        .preload_app(true)
        .http_async(serve)
        .companion("jobs:scheduler", companions::schedule)
        .companion("jobs:worker", companions::work)
        .run()
}

/// Where the primes end, and up to which number they do.
const LIMIT: u32 = 1_000_000;
const LARGEST: u64 = LIMIT as u64 * LIMIT as u64;
