//! Values that are in no table any more, but still on their way to whoever asked for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gunmetal_protocol::Bytes;

/// How many bytes such values hold. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnLoan(Arc<AtomicU64>);

/// A value that is counted from the moment when its table lets go of it until everybody has.
#[derive(Debug)]
pub(crate) struct Lent {
    value: Bytes,
    /// Bytes that it keeps allocated.
    held: usize,
    on_loan: OnLoan,
}

/// What the users of a value drop last.
struct Owner {
    bytes: Bytes,
    held: usize,
    on_loan: OnLoan,
}

impl OnLoan {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A value in a table, which keeps `held` bytes allocated.
    pub(crate) fn lend(&self, bytes: Bytes, held: usize) -> Lent {
        let value = Bytes::from_owner(Owner { bytes, held, on_loan: self.clone() });
        Lent { value, held, on_loan: self.clone() }
    }
}

impl Lent {
    pub(crate) fn value(&self) -> &Bytes {
        &self.value
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

impl Drop for Lent {
    /// The table has it no more. If nobody else does, the owner takes this back at once.
    fn drop(&mut self) {
        self.on_loan.0.fetch_add(self.held as u64, Ordering::Relaxed);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.on_loan.0.fetch_sub(self.held as u64, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What an owner takes, with what counts its users.
pub(crate) const OWNER_LEN: usize = size_of::<Owner>() + 2 * size_of::<usize>();
