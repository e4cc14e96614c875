//! The stash beside Redis, both on a Unix socket, with the same client: prepared requests over one connection; and our
//! async client. Rounds alternate over them.

#![forbid(unsafe_code)]

mod async_client;
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
    let servers = server::start_all(sockets.path(), &options)?;
    let peers = server::peers(&servers)?;
    let results = measure::run(&peers, &options)?;
    report::print(&peers, &results);
    Ok(())
}
