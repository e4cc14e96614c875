//! From a configuration to a process.
