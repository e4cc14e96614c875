//! The parts of the runtime are tested beside them; the whole of it in `tests/worker.rs`.
