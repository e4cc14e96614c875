use std::net::TcpStream;
use std::path::Path;

use super::*;

fn config(bind: &[&str]) -> MasterConfig {
    MasterConfig {
        bind: bind.iter().map(|text| text.parse().unwrap()).collect(),
        http: Some(Rc::new(|_| 0)),
        ..MasterConfig::default()
    }
}

fn shown(listeners: &HttpListeners) -> Vec<String> {
    listeners.iter().map(ToString::to_string).collect()
}

#[test]
fn a_reload_keeps_what_is_still_configured_and_opens_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let unix = |name: &str| format!("unix:{}", dir.path().join(name).display());
    let old = config(&["127.0.0.1:0", &unix("a")]);
    let listeners = HttpListeners::open(&old, &HandedOver::default()).unwrap();
    let new = config(&["127.0.0.1:0", &unix("b")]);
    let reopened = listeners.reopen(&old, &new).unwrap();
    assert_eq!(shown(&reopened)[0], shown(&listeners)[0], "port 0 has kept its port");
    assert_eq!(shown(&reopened)[1], unix("b"));
    listeners.remove_files_unless_in(&reopened);
    assert!(!dir.path().join("a").exists());
    reopened.remove_files_unless_in(&reopened);
    assert!(dir.path().join("b").exists());
}

#[test]
fn a_reload_that_cannot_open_something_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let unix = |name: &str| format!("unix:{}", dir.path().join(name).display());
    std::fs::write(dir.path().join("file"), "precious").unwrap();
    let old = config(&[&unix("a")]);
    let listeners = HttpListeners::open(&old, &HandedOver::default()).unwrap();
    let new = config(&[&unix("a"), &unix("b"), &unix("file")]);
    let error = listeners.reopen(&old, &new).unwrap_err();
    assert!(error.to_string().ends_with("exists and is not a socket"), "{error}");
    assert!(dir.path().join("a").exists() && !dir.path().join("b").exists());
}

#[test]
fn a_unix_socket_is_open_to_whom_the_umask_says() {
    use std::os::unix::fs::MetadataExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    for (name, umask, expected) in [("all", 0, 0o777), ("group", 0o007, 0o770), ("own", 0o077, 0o700)] {
        let path = dir.path().join(name);
        let config = MasterConfig { umask, ..config(&[&format!("unix:{}", path.display())]) };
        let listeners = HttpListeners::open(&config, &HandedOver::default()).unwrap();
        assert_eq!(mode(&path), expected);
        listeners.abandon();
        assert!(!path.exists());
    }
}

#[test]
fn with_reuse_port_each_worker_has_a_listener_of_its_own_at_one_port() {
    let config = MasterConfig { reuse_port: true, ..config(&["127.0.0.1:0"]) };
    let listeners = HttpListeners::open(&config, &HandedOver::default()).unwrap();
    let address = |listener: &Listener| match listener {
        Listener::Tcp(listener) => listener.local_addr().unwrap(),
        Listener::Unix(_) => panic!("a unix socket"),
    };
    let first = listeners.for_worker().unwrap();
    let second = listeners.for_worker().unwrap();
    assert_eq!(address(&first[0]), address(&second[0]));
    assert_eq!(shown(&listeners), [format!("http://{}", address(&first[0]))]);
    TcpStream::connect(address(&first[0])).unwrap();
    drop((first, second));
    // What the master holds only reserves the port: nobody is left waiting at it.
    assert!(TcpStream::connect(shown(&listeners)[0].trim_start_matches("http://")).is_err());
}

#[test]
fn a_taken_port_is_named() {
    let taken = HttpListeners::open(&config(&["127.0.0.1:0"]), &HandedOver::default()).unwrap();
    let address = shown(&taken)[0].replace("http://", "");
    let new = config(&[&address]);
    let error = taken.reopen(&config(&[]), &new).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen at {address}"));
}
