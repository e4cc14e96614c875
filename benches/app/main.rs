//! The service that the benches start: one dirty app, nothing else.

#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use gunmetal::Server;
use gunmetal::dirty::prelude::*;

fn main() -> ExitCode {
    // Before the service starts, so in the process that everything is forked from.
    let preloaded = ballast("BENCH_PRELOAD_MB");
    let code = Server::new().app::<Echo>("bench:Echo").run();
    drop(preloaded);
    code
}

struct Echo {
    /// What the app loaded for itself.
    _model: Vec<u8>,
}

#[dirty_app]
impl Echo {
    fn init(_: &InitContext) -> Result<Self> {
        Ok(Self { _model: ballast("BENCH_INIT_MB") })
    }

    #[action]
    fn echo(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }

    #[action]
    fn chunks(&self, chunk_len: u32, count: u32) -> impl Iterator<Item = Result<Bytes>> {
        let chunk = Bytes::from(vec![7; chunk_len as usize]);
        (0..count).map(move |_| Ok(chunk.clone()))
    }

    #[action]
    fn pid(&self) -> Result<u32> {
        Ok(std::process::id())
    }
}

/// As many megabytes as `variable` says, every page of them written.
fn ballast(variable: &str) -> Vec<u8> {
    let megabytes: usize = env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    vec![1; megabytes << 20]
}
