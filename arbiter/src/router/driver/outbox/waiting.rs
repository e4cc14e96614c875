//! Bytes that wait for room in a socket: small ones together, large ones where they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What comes before the tail.
    parts: VecDeque<Bytes>,
    /// Bytes in the parts.
    parts_len: usize,
    tail: Vec<u8>,
    /// How many of the tail's bytes have been written.
    written: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.parts_len + self.tail.len() - self.written
    }

    /// Appends a copy.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends bytes that are shared, not copied.
    pub(super) fn link(&mut self, bytes: Bytes) {
        if self.tail.len() > self.written {
            let mut tail = Bytes::from(std::mem::take(&mut self.tail));
            tail.advance(std::mem::take(&mut self.written));
            self.parts_len += tail.len();
            self.parts.push_back(tail);
        }
        self.parts_len += bytes.len();
        self.parts.push_back(bytes);
    }

    /// What comes first, as far as it fits into `slices`; how many of them are used.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[self.written..]).filter(|tail| !tail.is_empty());
        let parts = self.parts.iter().map(|part| &part[..]).chain(tail);
        let mut used = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            used += 1;
        }
        used
    }

    /// Drops what has been written.
    pub(super) fn advance(&mut self, mut len: usize) {
        while let Some(part) = self.parts.front_mut() {
            let step = part.len().min(len);
            self.parts_len -= step;
            len -= step;
            if step < part.len() {
                return part.advance(step);
            }
            self.parts.pop_front();
        }
        self.written += len;
        if self.written == self.tail.len() {
            self.written = 0;
            if self.tail.capacity() > KEPT_CAPACITY {
                self.tail = Vec::new();
            } else {
                self.tail.clear();
            }
        } else if self.written > MOVED_FROM {
            self.tail.drain(..self.written);
            self.written = 0;
        }
    }
}

/// How much memory an empty outbox keeps.
const KEPT_CAPACITY: usize = 32 << 10;

/// The rest is moved to the front when so much before it has been written.
const MOVED_FROM: usize = 256 << 10;
