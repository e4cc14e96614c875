//! The lane threads of a worker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::bell::{Bell, RingOnDrop};
use super::lane_thread::LaneThread;

/// The lane threads of a worker.
#[derive(Debug)]
pub(super) struct LaneThreads {
    handles: Vec<JoinHandle<()>>,
    /// How many have not ended.
    live: Arc<AtomicUsize>,
}

impl LaneThreads {
    /// Starts `count` threads; the bell rings whenever one ends.
    pub(super) fn start(count: usize, bell: &Bell, make: impl Fn() -> LaneThread) -> io::Result<Self> {
        let mut threads = Self { handles: Vec::with_capacity(count), live: Arc::default() };
        for index in 0..count {
            let thread = make();
            threads.live.fetch_add(1, Ordering::AcqRel);
            let ended = Ended { live: Arc::clone(&threads.live), _bell: RingOnDrop(bell.clone()) };
            let handle = thread::Builder::new().name(format!("dirty-lane-{index}")).spawn(move || {
                let _ended = ended;
                thread.run();
            })?;
            threads.handles.push(handle);
        }
        Ok(threads)
    }

    /// Whether all have ended.
    pub(super) fn have_ended(&self) -> bool {
        self.live.load(Ordering::Acquire) == 0
    }

    /// Waits until all are gone and have dropped what they held.
    pub(super) fn join(self) {
        for handle in self.handles {
            // A thread that panicked has said so already.
            let _ = handle.join();
        }
    }
}

/// Counts a thread out, then rings: fields are dropped after `drop`.
struct Ended {
    live: Arc<AtomicUsize>,
    _bell: RingOnDrop,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}
