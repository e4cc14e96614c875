//! What the benches share: samples and their percentiles, the tables they print, and child
//! processes that end with the bench. How to run each is in `README.md`.

#![forbid(unsafe_code)]

mod ballast;
mod child;
mod options;
mod processes;
mod python;
mod samples;
mod table;
mod tree;

pub use ballast::Ballast;
pub use child::{Child, die_with_parent, say_ready};
pub use options::Options;
pub use processes::{CpuTime, Memory, Process};
pub use python::python;
pub use samples::{Samples, median};
pub use table::{Bound, Table, Verdict, bytes, duration, rate};
pub use tree::Tree;
