//! A service under our master, the same axum app without one, and gunicorn with its sync worker: how fast they start and
//! heal, what the master costs on the path of a request, and what it all keeps in memory.

#![forbid(unsafe_code)]

mod answer;
mod memory;
mod requests;
mod service;
mod starting;
mod wrk;

use std::env;

use anyhow::Result;
use gunmetal_benches::Options;

fn main() -> Result<()> {
    let options = Options::from_args(env::args().skip(1))?;
    if options.wants_measure("start") {
        println!("\n{}", starting::measure(&options)?);
    }
    if options.wants_measure("requests") {
        println!("\n{}", requests::measure(&options)?);
    }
    if options.wants_measure("memory") {
        println!("\n{}", memory::idle(&options)?);
        println!("\n{}", memory::preloaded(&options)?);
    }
    Ok(())
}
