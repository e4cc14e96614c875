//! The stash as a client sees it: what it asks, what the answers mean, how a table is read piece by
//! piece.

mod error;
mod key;
mod key_text;
mod message;
mod table_info;
mod table_scan;
mod value;

pub use error::StashError;
pub(crate) use error::from_payload as error_from_payload;
pub use key::StashKey;
pub use message::{ScanWindow, StashMessage};
pub use table_info::TableInfo;
pub use table_scan::{ScanSupport, TableScan};
pub use value::StashValue;
