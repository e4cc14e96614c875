//! The service of the bench `master`: a hello handler under our master or, with `plain` as the only argument, the same
//! routes on the same kind of runtime in one process without one.

#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::{Router, routing::get};
use gunmetal::{HttpWorker, Server};
use gunmetal_benches::Ballast;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("plain") {
        return plain();
    }
    let serve = async |worker: HttpWorker| {
        let ballast = gunmetal::preloaded::<Ballast>().context("nothing is preloaded")?;
        anyhow::Ok(worker.serve(routes(ballast)).await?)
    };
    Server::new().preload(|| anyhow::Ok(Ballast::load())).preload_app(true).http_async(serve).run()
}

/// The runtime is built as an HTTP worker's is; the address is in `BENCH_BIND`.
fn plain() -> ExitCode {
    let outcome = (|| {
        let address = env::var("BENCH_BIND").context("BENCH_BIND says where to listen")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind(&address).await.with_context(|| format!("binding {address}"))?;
            anyhow::Ok(axum::serve(listener, routes(Arc::new(Ballast::load()))).await?)
        })
    })();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn routes(ballast: Arc<Ballast>) -> Router {
    let read = async move || format!("{} {}", std::process::id(), ballast.sum());
    Router::new().route("/", get(async || "Hello, World!")).route("/preloaded", get(read))
}
