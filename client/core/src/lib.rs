//! What the async and the blocking client share.
