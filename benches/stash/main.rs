//! The stash beside Redis, both on a Unix socket, with the same client: prepared requests over one connection. Rounds
//! alternate over the servers.

#![forbid(unsafe_code)]

mod dialect;
mod measure;
mod pipeline;
mod report;
mod server;

use anyhow::Result;
use gunmetal_benches::Options;

fn main() -> Result<()> {
    let options = Options::from_args(std::env::args().skip(1))?;
    let sockets = tempfile::tempdir()?;
    let mut servers = server::start_all(sockets.path(), &options)?;
    let results = measure::run(&mut servers, &options)?;
    report::print(&servers, &results);
    Ok(())
}
