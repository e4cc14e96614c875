//! How many connections a worker has open, and how many it may have.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::HttpWorker;

/// The connections that a worker may have open at a time: who wants to accept one takes a place before.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    total: u32,
}

/// One open connection, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "returned by drop")] OwnedSemaphorePermit);

impl Places {
    /// `total` places, but one at least.
    pub(super) fn new(total: u32) -> Self {
        let total = total.max(1);
        // No machine has more descriptors than the semaphore has permits.
        let permits = usize::try_from(total).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), total }
    }

    /// Waits for a free place, in the order of asking.
    pub(super) async fn take(&self) -> Place {
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => Place(permit),
            // Nobody closes the semaphore, which is private to this type.
            Err(_) => std::future::pending().await,
        }
    }

    /// [`take`](Self::take) on a thread without a runtime; `None` once the worker is to shut down.
    pub(super) fn take_before_shutdown(&self, worker: &HttpWorker) -> Option<Place> {
        block_on(async {
            tokio::select! {
                biased;
                () = worker.shutdown() => None,
                place = self.take() => Some(place),
            }
        })
    }

    /// Ends when all places are free, which nobody takes any more then.
    pub(super) async fn all_returned(&self) {
        // It fails only if the semaphore is closed.
        let _ = self.free.acquire_many(self.total).await;
    }
}

/// Waits for a future on a thread that has no runtime.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_connection_is_gone() {
        let places = Places::new(1);
        let place = block_on(places.take());
        let waiting = thread::spawn({
            let places = places.clone();
            move || drop(block_on(places.take()))
        });
        drop(place);
        waiting.join().unwrap();
        block_on(places.all_returned());
    }

    #[test]
    fn there_is_a_place_even_if_none_is_allowed() {
        drop(block_on(Places::new(0).take()));
    }
}
