//! A service with one dirty app: `cargo run --example small`, then `curl http://127.0.0.1:8000/World`.

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use gunmetal::dirty::prelude::*;
use gunmetal::{HttpWorker, Server, args};

struct Greeter;

#[dirty_app(workers = 2)]
impl Greeter {
    fn init(_: &InitContext) -> Result<Self> {
        Ok(Greeter) // once per worker: load the model here
    }

    #[action]
    fn greet(&self, name: String, #[default = "Hello".into()] greeting: String) -> String {
        format!("{greeting}, {name}!")
    }
}

async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let client = worker.client()?;
    let greet = async move |Path(name): Path<String>| {
        let args = args![name; greeting = "Good day"];
        let reply = client.execute::<String>("hello:Greeter", "greet", args).await;
        reply.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
    };
    Ok(worker.serve(Router::new().route("/{name}", get(greet))).await?)
}

fn main() -> std::process::ExitCode {
    Server::new().app::<Greeter>("hello:Greeter").http_async(serve).run()
}
