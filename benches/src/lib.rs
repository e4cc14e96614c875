//! Benchmarks of gunmetal beside its peers.
