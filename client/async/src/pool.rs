//! Connections that wait for the next call which needs one to itself.

use std::sync::{Mutex, PoisonError};

use crate::exclusive::ExclusiveConnection;

/// Idle connections, the most recently used first: the others may grow old and be closed.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<ExclusiveConnection>>,
    max_idle: usize,
}

impl Pool {
    pub(crate) fn new(max_idle: usize) -> Pool {
        Pool { idle: Mutex::new(Vec::new()), max_idle }
    }

    /// A connection on which nothing is going on, if there is one.
    pub(crate) fn take(&self) -> Option<ExclusiveConnection> {
        loop {
            let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if connection.is_fresh() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose call is over, to its last frame.
    pub(crate) fn put(&self, connection: ExclusiveConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max_idle {
            idle.push(connection);
        }
    }

    /// Drops every idle connection.
    pub(crate) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
