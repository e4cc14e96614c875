//! Dirty apps and the worker runtime that serves them.
