//! The stash: named tables of key to value that all workers of a service share. It does no I/O and reads no clock; the
//! router owns one and serves it.
//!
//! ```text
//! Stash ─▶ table "sessions" ─▶ index: hash ─▶ place
//!                           └▶ slots: entries in the order of their keys
//!       └▶ memory: bytes used and allowed, what is still to be freed or on its way
//! ```
//!
//! Values are kept as the bytes they came in and never decoded. An entry is one allocation, key and value together; a
//! value of 8 KiB or more has one of its own, so that it can be sent without a copy.
//!
//! Nothing takes long at once: an index grows in pieces, what is cleared is freed by and by ([`Stash::sweep`]), and
//! the keys of a table are listed step by step ([`Listing`]).
//!
//! [`Stash::answer`] does what a STASH message asks for; [`StashError::to_payload`] is what the peer is told if it fails.
#![forbid(unsafe_code)]

mod answer;
mod entry;
mod error;
mod index;
mod key;
mod listing;
mod memory;
mod on_loan;
mod pattern;
mod slots;
mod stash;
mod table;

pub use answer::Answer;
pub use entry::Stored;
pub use error::StashError;
pub use key::{Key, WrongKeyKind};
pub use listing::{Listing, Values};
pub use pattern::Pattern;
pub use stash::{Info, Stash};
