//! Sleeps until the dispatcher's next deadline; not at all while there is none.

use std::rc::Rc;

use super::Shared;

/// Ticks for ever.
pub(super) async fn run(shared: Rc<Shared>) {
    loop {
        match shared.armed.get() {
            None => shared.rearm.notified().await,
            Some(deadline) => tokio::select! {
                biased;
                () = shared.rearm.notified() => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    shared.armed.set(None);
                    shared.turn(|state, now| state.dispatcher.tick(now));
                }
            },
        }
    }
}
