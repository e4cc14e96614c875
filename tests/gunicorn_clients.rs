//! gunicorn's own clients against the probe, and against gunicorn's own arbiter.

mod support;

use support::{Service, python};

#[test]
fn the_probe_app_runs_under_gunicorns_own_arbiter() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dirty.sock");
    let mut command = python::gunicorn_arbiter(&socket, &["--workers", "1"]);
    command.stderr(std::process::Stdio::piped());
    let service = Service::of(command, directory);
    service.wait_for("gunicorn's arbiter", || std::os::unix::net::UnixStream::connect(service.socket()).ok());
}
