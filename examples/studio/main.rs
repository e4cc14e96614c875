//! Two dirty apps for web services in Python: see `examples/flask` and `examples/fastapi`.
//!
//! ```text
//! cargo run --release --example studio -- --dirty-only --dirty-socket /tmp/studio.sock
//! ```

mod darkroom;
mod writer;

use std::process::ExitCode;

use darkroom::Darkroom;
use gunmetal::Server;
use writer::Writer;

fn main() -> ExitCode {
    Server::new().app::<Writer>("studio:Writer").app::<Darkroom>("studio:Darkroom").run()
}
