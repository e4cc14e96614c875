//! Results that every process of a service finds again: `cargo run --example stash`, then
//! `curl http://127.0.0.1:8000/1000003` and `curl http://127.0.0.1:8000/`.

use axum::{Router, extract::Path, extract::State, http::StatusCode, routing::get};
use futures_util::TryStreamExt;
use gunmetal::dirty::prelude::*;
use gunmetal::{HttpWorker, Server, blocking, client};

/// Finds the prime factors of numbers, each of them once: what one worker found is there for all.
struct Factors {
    found: blocking::Table,
    /// The same table, for async actions.
    found_async: client::Table,
}

#[dirty_app(stashes = ["factors"])]
impl Factors {
    fn init(_: &InitContext) -> Result<Self> {
        let found = blocking::Client::from_env()?.stash().table("factors");
        let found_async = client::Client::from_env()?.stash().table("factors");
        // The tables are there before the first worker is.
        if !found.contains(1)? {
            found.insert(1, &Vec::<i64>::new())?;
        }
        Ok(Factors { found, found_async })
    }

    #[action]
    fn of(&self, number: i64) -> Result<Vec<i64>> {
        if let Some(factors) = self.found.get(number)? {
            return Ok(factors);
        }
        let factors = factorize(number);
        self.found.insert(number, &factors)?;
        Ok(factors)
    }

    /// The numbers below `limit` whose factors have been found.
    #[action]
    async fn below(&self, limit: i64) -> Result<Vec<i64>> {
        let numbers = self.found_async.keys_stream().try_filter_map(async |key| Ok(key.as_int()));
        let mut numbers: Vec<i64> = numbers.try_collect().await?;
        numbers.retain(|number| *number < limit);
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn factorize(mut number: i64) -> Vec<i64> {
    let (mut factors, mut factor) = (Vec::new(), 2);
    while factor * factor <= number {
        while number % factor == 0 {
            factors.push(factor);
            number /= factor;
        }
        factor += 1;
    }
    if number > 1 {
        factors.push(number);
    }
    factors
}

/// HTTP workers have the stash too, and need not ask the app for what is there.
async fn number(
    State(client): State<client::Client>,
    Path(number): Path<i64>,
) -> Result<String, (StatusCode, String)> {
    let known = client.stash().get("factors", number).await.map_err(bad_gateway)?;
    let factors: Vec<i64> = match known {
        Some(factors) => factors,
        None => client.execute("factors:Factors", "of", (number,)).await.map_err(bad_gateway)?,
    };
    Ok(format!("{factors:?}\n"))
}

async fn all(State(client): State<client::Client>) -> Result<String, (StatusCode, String)> {
    let table = client.stash().table("factors");
    let lines = table.stream::<Vec<i64>>().map_ok(|(number, factors)| format!("{number}: {factors:?}\n"));
    lines.try_collect().await.map_err(bad_gateway)
}

fn bad_gateway(error: client::CallError) -> (StatusCode, String) {
    (StatusCode::BAD_GATEWAY, error.to_string())
}

async fn serve(worker: HttpWorker) -> anyhow::Result<()> {
    let app = Router::new().route("/", get(all)).route("/{number}", get(number)).with_state(worker.client()?);
    Ok(worker.serve(app).await?)
}

fn main() -> std::process::ExitCode {
    Server::new().app::<Factors>("factors:Factors").http_async(serve).run()
}
