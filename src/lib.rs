//! Gunmetal.
