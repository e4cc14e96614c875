//! The attribute macros of gunmetal-dirty.
