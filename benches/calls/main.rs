//! Calls through separate processes over unix sockets: gunmetal (client, router, dirty worker)
//! beside a hand-written relay (client, relay, server: two hops, no protocol) and two RPC
//! libraries that talk to their server directly (one hop). Rounds alternate over the peers.

// `deny`: the code generated for ttrpc allows it, and has none.
#![deny(unsafe_code)]

mod gunmetal_peer;
mod measure;
mod peer;
mod relay;
mod report;
mod tonic_peer;
mod ttrpc_peer;

use std::env;

use anyhow::{Result, bail};
use gunmetal_benches::{Options, die_with_parent};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "role") {
        return role(&args[1..]);
    }
    let options = Options::from_args(args.into_iter())?;
    let sockets = tempfile::tempdir()?;
    let mut peers = Vec::new();
    for start in peer::ALL {
        if let Some(peer) = start.start(sockets.path(), &options)? {
            peers.push(peer);
        }
    }
    let results = measure::run(&mut peers, &options)?;
    report::print(&peers.iter().map(|peer| peer.name()).collect::<Vec<_>>(), &results);
    Ok(())
}

/// A server's side: this program again, as one of the peers' processes.
fn role(args: &[String]) -> Result<()> {
    die_with_parent()?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["echo", listen] => relay::serve_echo(listen),
        ["relay", listen, upstream] => relay::serve_relay(listen, upstream),
        ["cut-through", listen, upstream] => relay::serve_cut_through(listen, upstream),
        ["ttrpc", listen] => ttrpc_peer::serve(listen),
        ["tonic", listen] => tonic_peer::serve(listen),
        _ => bail!("unknown role {args:?}"),
    }
}
