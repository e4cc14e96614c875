use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// A certificate of a key, and the key, in a directory of their own.
struct Files {
    directory: tempfile::TempDir,
    certfile: PathBuf,
    keyfile: PathBuf,
}

impl Files {
    fn new() -> Files {
        Files::valid(2020, 2120)
    }

    fn valid(from: i32, until: i32) -> Files {
        let directory = tempfile::tempdir().unwrap();
        let (certfile, keyfile) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        fs::write(&certfile, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&keyfile, key.serialize_pem()).unwrap();
        Files { directory, certfile, keyfile }
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        load(&self.certfile, Some(&self.keyfile))
    }

    /// What is wrong with them, the directory left out.
    fn error(&self) -> String {
        let error = crate::http::chain(&self.load().unwrap_err());
        error.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tls/fixtures").join(name)
}

#[test]
fn a_certificate_and_its_key_make_a_server_for_both_http_versions() {
    let files = Files::new();
    let config = files.load().unwrap();
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(config.ticketer.enabled());
}

#[test]
fn the_key_may_be_in_the_certificates_file() {
    let files = Files::new();
    let both = fs::read_to_string(&files.certfile).unwrap() + &fs::read_to_string(&files.keyfile).unwrap();
    fs::write(&files.certfile, both).unwrap();
    load(&files.certfile, None).unwrap();
}

#[test]
fn keys_of_every_form_are_understood() {
    for form in ["sec1", "pkcs1"] {
        load(&fixture(&format!("{form}-cert.pem")), Some(&fixture(&format!("{form}.pem")))).unwrap();
    }
}

#[test]
fn a_missing_file_is_named_by_its_setting_and_path() {
    let files = Files::new();
    fs::remove_file(&files.keyfile).unwrap();
    assert_eq!(files.error(), "keyfile key.pem does not exist");
    fs::remove_file(&files.certfile).unwrap();
    assert_eq!(files.error(), "certfile cert.pem does not exist");
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let files = Files::new();
    fs::set_permissions(&files.keyfile, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything.
    if fs::read(&files.keyfile).is_err() {
        assert_eq!(files.error(), "keyfile key.pem may not be read by the user that starts the service");
    }
    fs::remove_file(&files.keyfile).unwrap();
    fs::create_dir(&files.keyfile).unwrap();
    assert!(files.error().starts_with("keyfile key.pem cannot be read: Is a directory"), "{}", files.error());
}

#[test]
fn what_the_files_must_have_in_them_is_said() {
    let files = Files::new();
    fs::write(&files.keyfile, "nothing").unwrap();
    assert_eq!(
        files.error(),
        "keyfile key.pem has no private key (\"-----BEGIN PRIVATE KEY-----\", or \"RSA\" or \"EC PRIVATE KEY\") in it"
    );
    fs::write(&files.certfile, "nothing").unwrap();
    assert_eq!(files.error(), "certfile cert.pem has no certificate (\"-----BEGIN CERTIFICATE-----\") in it");
}

#[test]
fn broken_files_are_told_from_empty_ones() {
    let files = Files::new();
    let whole = fs::read_to_string(&files.certfile).unwrap();
    fs::write(&files.certfile, &whole[..whole.len() / 2]).unwrap();
    assert!(files.error().starts_with("certfile cert.pem is not valid PEM: "), "{}", files.error());
    fs::write(&files.certfile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(
        files.error().starts_with("the certificate in certfile cert.pem cannot be used: "),
        "{}",
        files.error()
    );

    let files = Files::new();
    fs::write(&files.keyfile, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(
        files.error().starts_with("the private key in keyfile key.pem cannot be used: "),
        "{}",
        files.error()
    );
}

#[test]
fn an_encrypted_key_is_told_from_a_missing_one() {
    let mut files = Files::new();
    for name in ["encrypted-pkcs8.pem", "encrypted-pkcs1.pem"] {
        files.keyfile = files.directory.path().join(name);
        fs::copy(fixture(name), &files.keyfile).unwrap();
        assert_eq!(
            files.error(),
            format!("the private key in keyfile {name} is encrypted: a service needs it without a password")
        );
    }
}

#[test]
fn another_certificates_key_is_refused() {
    let (files, others) = (Files::new(), Files::new());
    fs::copy(&others.keyfile, &files.keyfile).unwrap();
    assert_eq!(
        files.error(),
        "the private key in keyfile key.pem is not that of the certificate in certfile cert.pem"
    );
}

#[test]
fn a_certificate_is_valid_from_its_first_second_to_its_last() {
    let files = Files::valid(2020, 2021);
    assert_eq!(files.error(), "the certificate in certfile cert.pem expired at 2021-01-01T00:00:00Z");
    let at = |secs| load_at(&files.certfile, Some(&files.keyfile), UNIX_EPOCH + Duration::from_secs(secs));
    let (first, last) = (1_577_836_800, 1_609_459_200);
    assert!(at(first).is_ok() && at(last).is_ok());
    assert!(matches!(at(last + 1), Err(TlsError::Expired { .. })));
    let error = at(first - 1).unwrap_err().to_string();
    assert!(
        error.ends_with("is valid from 2020-01-01T00:00:00Z on, and it is 2019-12-31T23:59:59Z"),
        "{error}"
    );
}
