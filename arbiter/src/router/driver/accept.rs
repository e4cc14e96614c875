//! Accepts clients.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UnixListener;
use tracing::warn;

use super::{Shared, client_connection};

/// Accepts from the moment at which the apps are known. While the router drains, too: calls are refused then, but those
/// that still run may need the stash.
pub(super) async fn run(shared: Rc<Shared>, listener: UnixListener) {
    shared.configured.notified().await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                widen(&stream);
                shared.spawn(client_connection::run(shared.clone(), stream));
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: whoever waits in the backlog goes on waiting until some are free.
                warn!(%error, "cannot accept a client, trying again");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Asks for a large send buffer: large payloads then need fewer wake-ups. The kernel gives what it allows.
pub(super) fn widen(socket: &impl AsFd) {
    if setsockopt(socket, sockopt::SndBufForce, &SEND_BUFFER_LEN).is_err() {
        let _ = setsockopt(socket, sockopt::SndBuf, &SEND_BUFFER_LEN);
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

/// Wanted socket send buffers, in bytes.
const SEND_BUFFER_LEN: usize = 2 << 20;

/// How long to wait when the system has nothing left.
const BACK_OFF: Duration = Duration::from_millis(100);
