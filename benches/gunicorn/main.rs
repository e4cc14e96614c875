//! The probe app behind our dirty arbiter and behind gunicorn's own, asked by the same clients: the one that the
//! gunicorn package ships, and one that sends frames prepared before the clock starts.

#![forbid(unsafe_code)]

mod arbiter;
mod frames;
mod measure;
mod report;
mod stock;

use std::env;

use anyhow::Result;
use gunmetal_benches::Options;

fn main() -> Result<()> {
    let options = Options::from_args(env::args().skip(1))?;
    let sockets = tempfile::tempdir()?;
    let peers = arbiter::start_all(sockets.path(), &options)?;
    let results = measure::run(&peers, &options)?;
    report::print(&peers, &results);
    Ok(())
}
