//! HTTPS with real certificates, and what a service says of files that it cannot use.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gunmetal::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use gunmetal::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, crypto::ring,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use support::http::{Client, HttpService};
use support::{PATIENCE, example_binary};

/// Writes `cert.pem` and `key.pem`, valid from one year to another.
fn write_certificate(directory: &Path, (from, until): (i32, i32)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    fs::write(directory.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

struct HttpsService {
    http: HttpService,
    client: Arc<ClientConfig>,
    files: tempfile::TempDir,
}

impl HttpsService {
    fn start(example: &str, flags: &[&str]) -> HttpsService {
        let files = tempfile::tempdir().unwrap();
        write_certificate(files.path(), (2020, 2120));
        let path = |name: &str| files.path().join(name).display().to_string();
        let (certfile, keyfile) = (path("cert.pem"), path("key.pem"));
        let mut all = vec!["--certfile", &certfile, "--keyfile", &keyfile];
        all.extend_from_slice(flags);
        let http = HttpService::start(example, &all);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certfile).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        HttpsService { http, client: Arc::new(client), files }
    }

    /// Reloads a service of two workers, and waits until the old ones are gone.
    fn reload(&self) {
        let before = self.http.workers();
        self.http.service.signal(libc::SIGHUP);
        self.http.service.wait_for("the new workers alone", || {
            let now = self.http.workers();
            (now.len() == 2 && now.is_disjoint(&before)).then_some(())
        });
    }

    fn connect(&self, alpn: &[&str]) -> Client<StreamOwned<ClientConnection, TcpStream>> {
        let mut config = self.client.as_ref().clone();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.http.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(StreamOwned::new(session, stream))
    }
}

#[test]
fn https_is_spoken_by_both_runners() {
    for (example, path) in [("small", "/World"), ("gallery", "/"), ("blocking", "/World")] {
        let https = HttpsService::start(example, &[]);
        let mut client = https.connect(&["http/1.1"]);
        let answer = client.get(path).unwrap();
        assert_eq!(answer.status, 200, "{example}: {answer:?}");
        assert_eq!(client.stream().conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        https.http.logged("Listening at: https://").unwrap();
    }
}

#[test]
fn http2_is_agreed_on_where_the_server_speaks_it() {
    for (example, agreed) in [("hello", "h2"), ("blocking", "http/1.1")] {
        let https = HttpsService::start(example, &[]);
        let mut client = https.connect(&["h2", "http/1.1"]);
        let stream = client.stream();
        stream.conn.complete_io(&mut stream.sock).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(agreed.as_bytes()), "{example}");
    }
}

#[test]
fn a_session_goes_on_in_any_worker() {
    let https = HttpsService::start("hello", &["--workers", "4", "--accept-mode", "fair"]);
    let mut pids = std::collections::BTreeSet::new();
    for turn in 0..12 {
        let mut client = https.connect(&[]);
        pids.insert(client.get("/pid").unwrap().body);
        let expected = if turn == 0 { HandshakeKind::Full } else { HandshakeKind::Resumed };
        assert_eq!(client.stream().conn.handshake_kind(), Some(expected), "turn {turn}");
    }
    assert!(pids.len() > 1, "{pids:?}");
}

#[test]
fn a_client_that_does_not_shake_hands_holds_up_nobody() {
    for example in ["hello", "blocking"] {
        let https = HttpsService::start(example, &["--log-level", "debug"]);
        let silent: Vec<_> = (0..20).map(|_| https.http.connect()).collect();
        let mut rude = https.http.connect();
        rude.send(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        // An alert, and the end; or a reset, if the rest of the rudeness was not read.
        let _ = rude.rest();
        assert_eq!(https.connect(&[]).get("/pid").unwrap().status, 200);
        https.http.service.wait_for("a line about it", || https.http.logged("a connection was not opened"));
        drop(silent);
    }
}

#[test]
fn clients_that_ask_nothing_are_closed_with_the_farewell_of_tls_and_a_slow_handshake_does_not_count() {
    let limit = Duration::from_secs(1);
    for example in ["hello", "blocking"] {
        let https = HttpsService::start(example, &["--keep-alive", "1"]);
        let (mut late, mut hello) = (https.connect(&["http/1.1"]), Vec::new());
        late.stream().conn.write_tls(&mut hello).unwrap();
        late.stream().sock.write_all(&hello[..5]).unwrap();
        let start = Instant::now();
        let mut silent = https.connect(&["http/1.1"]);
        let stream = silent.stream();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        assert_eq!(silent.rest().unwrap(), b"", "{example}");
        // It has begun before, and has ten seconds.
        late.stream().sock.write_all(&hello[5..]).unwrap();
        assert_eq!(late.get("/pid").unwrap().status, 200, "{example}");
        let mut idle = https.connect(&["http/1.1"]);
        assert_eq!(idle.get("/pid").unwrap().status, 200);
        assert_eq!(idle.rest().unwrap(), b"", "{example}");
        assert!(start.elapsed() >= 2 * limit, "{example}: {:?}", start.elapsed());
    }
}

#[test]
fn reloads_under_https_load_fail_no_request() {
    for example in ["hello", "blocking"] {
        let https = HttpsService::start(example, &["--workers", "2"]);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = https.connect(&["http/1.1"]);
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let answer = client.get("/pid").unwrap();
                        assert_eq!(answer.status, 200);
                        if answer.closes {
                            assert_eq!(client.rest().unwrap(), b"");
                            client = https.connect(&["http/1.1"]);
                        }
                    }
                });
            }
            (0..5).for_each(|_| https.reload());
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

#[test]
fn a_reload_renews_the_certificate_and_refuses_a_bad_one() {
    let https = HttpsService::start("hello", &["--workers", "2"]);
    let shown = || {
        let mut client = https.connect(&["http/1.1"]);
        let stream = client.stream();
        // A certificate that is not the one from the start is none that this client trusts.
        stream.conn.complete_io(&mut stream.sock).is_ok()
    };
    assert!(shown());
    fs::write(https.files.path().join("key.pem"), "no key").unwrap();
    https.http.service.signal(libc::SIGHUP);
    let refused = || https.http.logged("Reload refused, nothing has changed: keyfile ");
    https.http.service.wait_for("the refusal", refused);
    assert!(shown(), "the old certificate is still in use");
    write_certificate(https.files.path(), (2021, 2121));
    https.reload();
    assert!(!shown(), "the new certificate is in use");
}

#[test]
fn files_that_cannot_be_used_stop_the_start_before_anything_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    let end = |flags: &[&str]| {
        let mut command = Command::new(example_binary("hello"));
        command.args(["--bind", "unix:http.sock"]).args(flags);
        let output = command.current_dir(directory.path()).env("TMPDIR", directory.path()).output().unwrap();
        let last = String::from_utf8(output.stderr).unwrap().lines().last().unwrap_or_default().to_owned();
        assert!(!directory.path().join("http.sock").exists());
        (output.status.code(), last)
    };
    let files = ["--certfile", "cert.pem", "--keyfile", "key.pem"];
    assert_eq!(end(&files), (Some(1), "gunmetal: certfile cert.pem does not exist".into()));
    write_certificate(directory.path(), (2020, 2021));
    let expired = "gunmetal: the certificate in certfile cert.pem expired at 2021-01-01T00:00:00Z";
    assert_eq!(end(&files), (Some(1), expired.into()));
    let key = fs::read(directory.path().join("key.pem")).unwrap();
    write_certificate(directory.path(), (2020, 2120));
    fs::write(directory.path().join("key.pem"), key).unwrap();
    let other =
        "gunmetal: the private key in keyfile key.pem is not that of the certificate in certfile cert.pem";
    assert_eq!(end(&files), (Some(1), other.into()));
}
