//! Which processes a manager has started, for the one that follows it.
