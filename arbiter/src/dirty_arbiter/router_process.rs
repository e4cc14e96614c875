//! The router process, at the moment of its birth.

use std::io;
use std::os::unix::net::UnixListener;

use gunmetal_supervise::{ChildSetup, Signal, keep_large_buffers, spawn_child};

use super::router_link::RouterLink;
use crate::DirtyConfig;
use crate::crew::Member;

/// Forks a router on the socket that clients connect to; it says on the link when it accepts them.
pub(super) fn spawn(age: u64, config: &DirtyConfig, listener: &UnixListener) -> io::Result<(Member, RouterLink)> {
    let (link, theirs) = RouterLink::pair()?;
    let mut theirs = Some(theirs);
    let listener = listener.try_clone()?;
    let mut listener = Some(listener);
    let child = spawn_child(|newborn| {
        let (Some(link), Some(listener)) = (theirs.take(), listener.take()) else { return 1 };
        let setup =
            ChildSetup::new("gunmetal: router").keep(&link).keep(&listener).death_signal(Signal::SIGKILL);
        if let Err(error) = newborn.become_child(setup) {
            tracing::error!(error = %error, "router cannot be set up");
            return 1;
        }
        keep_large_buffers();
        stub(link, listener, config)
    })
    .map_err(io::Error::other)?;
    drop((theirs, listener));
    Ok((Member::new(child, age, None, None), link))
}

fn stub(link: std::os::unix::net::UnixStream, _listener: UnixListener, _config: &DirtyConfig) -> i32 {
    use gunmetal_dirty::link::{decode, encode};
    use std::io::{Read, Write};
    (&link).write_all(&encode(&crate::link::FromRouter::Ready).unwrap()).unwrap();
    let mut decoder = gunmetal_protocol::FrameDecoder::new();
    let mut buf = bytes::BytesMut::new();
    let mut chunk = [0; 4096];
    loop {
        let len = (&link).read(&mut chunk).unwrap();
        if len == 0 { return 1; }
        buf.extend_from_slice(&chunk[..len]);
        while let Some(frame) = decoder.next_frame(&mut buf).unwrap() {
            let message: crate::link::ToRouter = decode(&frame).unwrap();
            tracing::info!(?message, "stub router");
            match message { crate::link::ToRouter::DrainAll | crate::link::ToRouter::Stop => return 0,
              crate::link::ToRouter::WorkerStopping { worker } => (&link).write_all(&encode(&crate::link::FromRouter::Drained { worker }).unwrap()).unwrap(),
              _ => {} }
        }
    }
}
