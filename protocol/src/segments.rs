//! Output: small pieces gathered, large ones linked.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes from this length on are linked into the output, not copied. Below it, copying costs less
/// than one more entry in a vectored write.
pub const LINK_FROM: usize = 4 << 10;

/// Slices from this length on get memory of their own, so that a growing tail never moves them again.
const OWN_PART_FROM: usize = 64 << 10;

/// An output of many frames as a chain of byte ranges, ready for one vectored write.
///
/// Small data is appended to a tail buffer; [`Bytes`] of [`LINK_FROM`] or more are linked by
/// reference. It implements [`Buf`], so what was written is dropped by [`Buf::advance`]. Encoders
/// append whole frames or, on an error, nothing.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    /// What comes before the tail.
    parts: VecDeque<Part>,
    /// Where small data goes.
    tail: BytesMut,
    /// Bytes in `parts` and `tail`.
    len: usize,
}

#[derive(Debug, Clone)]
enum Part {
    /// A former tail: still ours, so that lengths in it can be patched.
    Own(BytesMut),
    /// Someone's bytes.
    Linked(Bytes),
}

/// A place in a [`Segments`], valid until something is taken from its front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    part: usize,
    offset: usize,
    len: usize,
}

impl Segments {
    /// An empty output that has allocated nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty output with room for `capacity` bytes of small data.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { tail: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        if bytes.len() >= OWN_PART_FROM {
            return self.link(Bytes::copy_from_slice(bytes));
        }
        self.len += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    /// Appends `bytes`: by reference from [`LINK_FROM`] on, as a copy below.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() >= LINK_FROM { self.link(bytes) } else { self.put_slice(&bytes) }
    }

    /// Moves everything in `other` to the end of this output.
    pub fn append(&mut self, mut other: Segments) {
        if other.parts.is_empty() && other.tail.len() < LINK_FROM {
            return self.put_slice(&other.tail);
        }
        self.seal();
        self.len += other.len;
        self.parts.append(&mut other.parts);
        self.tail = other.tail;
    }

    /// Drops everything in it and keeps the tail's memory for what comes next.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.tail.clear();
        self.len = 0;
    }

    /// Takes everything out as one contiguous `Bytes`; copies only if there is more than one part.
    #[must_use]
    pub fn into_contiguous(mut self) -> Bytes {
        if self.parts.is_empty() {
            return self.tail.freeze();
        }
        self.copy_to_bytes(self.len)
    }

    fn link(&mut self, bytes: Bytes) {
        self.seal();
        self.len += bytes.len();
        self.parts.push_back(Part::Linked(bytes));
    }

    /// Makes the tail a part, so that something can come behind it.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push_back(Part::Own(self.tail.split()));
        }
    }

    /// The place where the next byte goes.
    pub(crate) fn mark(&self) -> Mark {
        Mark { part: self.parts.len(), offset: self.tail.len(), len: self.len }
    }

    /// Bytes appended since `mark`.
    pub(crate) fn len_since(&self, mark: Mark) -> usize {
        self.len - mark.len
    }

    /// Overwrites bytes that were put, in one piece, right after `mark` was taken.
    pub(crate) fn patch(&mut self, mark: Mark, bytes: &[u8]) {
        let target = match self.parts.get_mut(mark.part) {
            None => &mut self.tail,
            Some(Part::Own(part)) => part,
            Some(Part::Linked(_)) => unreachable!("only small data is patched, and it is never linked"),
        };
        target[mark.offset..mark.offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Forgets everything appended since `mark`.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        if mark.part < self.parts.len() {
            match self.parts.drain(mark.part..).next() {
                Some(Part::Own(part)) if mark.offset > 0 => self.tail = part,
                _ => self.tail.clear(),
            }
        }
        self.tail.truncate(mark.offset);
        self.len = mark.len;
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&self.tail[..], Part::as_slice)
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let tail = Some(&self.tail[..]).filter(|tail| !tail.is_empty());
        let mut used = 0;
        for (slot, chunk) in dst.iter_mut().zip(self.parts.iter().map(Part::as_slice).chain(tail)) {
            *slot = IoSlice::new(chunk);
            used += 1;
        }
        used
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "cannot advance by {count} bytes with {} left", self.len);
        self.len -= count;
        while let Some(part) = self.parts.front_mut() {
            let part_len = part.as_slice().len();
            if count < part_len {
                return part.advance(count);
            }
            count -= part_len;
            self.parts.pop_front();
        }
        if count == self.tail.len() { self.tail.clear() } else { self.tail.advance(count) }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if let Some(Part::Linked(bytes)) = self.parts.front_mut()
            && len <= bytes.len()
        {
            let taken = bytes.slice(..len);
            self.advance(len);
            return taken;
        }
        assert!(len <= self.len, "cannot take {len} bytes with {} left", self.len);
        let mut taken = BytesMut::with_capacity(len);
        while taken.len() < len {
            let chunk = self.chunk();
            let step = chunk.len().min(len - taken.len());
            taken.extend_from_slice(&chunk[..step]);
            self.advance(step);
        }
        taken.freeze()
    }
}

impl From<Bytes> for Segments {
    fn from(bytes: Bytes) -> Self {
        let mut segments = Self::new();
        segments.put_bytes(bytes);
        segments
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = SegmentsIter;

    fn into_iter(self) -> SegmentsIter {
        SegmentsIter { segments: self }
    }
}

/// The parts of a [`Segments`] in order, none of them empty.
#[derive(Debug)]
pub struct SegmentsIter {
    segments: Segments,
}

impl Iterator for SegmentsIter {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self.segments.parts.pop_front() {
            Some(Part::Own(part)) => Some(part.freeze()),
            Some(Part::Linked(bytes)) => Some(bytes),
            None => Some(std::mem::take(&mut self.segments.tail).freeze()).filter(|tail| !tail.is_empty()),
        }
    }
}

impl Part {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(part) => part,
            Self::Linked(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Own(part) => part.advance(count),
            Self::Linked(bytes) => bytes.advance(count),
        }
    }
}

#[cfg(test)]
mod tests;
