//! What the documentation names is there.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every test that `docs/gunicorn.md` names as the one that shows a feature.
#[test]
fn the_tests_in_the_comparison_with_gunicorn_exist() {
    named_tests_exist("docs/gunicorn.md", 100);
}

/// Every test that `docs/operations.md` names, those of each row of the failure matrix among them.
#[test]
fn the_tests_in_the_page_for_operators_exist() {
    named_tests_exist("docs/operations.md", 60);
}

/// Every test that `docs/companions.md` names for the lines of the reference's test plan.
#[test]
fn the_tests_in_the_page_about_companions_exist() {
    named_tests_exist("docs/companions.md", 40);
}

/// The page names at least so many tests, and all of them are there.
fn named_tests_exist(page: &str, least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(page)).unwrap();
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter_map(|text| text.split_once("::"))
        .filter(|(file, _)| file.ends_with(".rs") || file.ends_with(".py"))
        .filter(|(_, test)| *test != "name")
        .collect();
    assert!(named.len() >= least, "{page}: only {} tests are named", named.len());
    for (file, test) in named {
        let source =
            fs::read_to_string(path_of(root, file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_there =
            [format!("fn {test}("), format!("def {test}(")].iter().any(|head| source.contains(head));
        assert!(is_there, "{page}: {file} has no test {test}");
    }
}

fn path_of(root: &Path, file: &str) -> PathBuf {
    if file.contains("/tests/") {
        root.join(file)
    } else if file.ends_with(".py") {
        root.join("tests/gunicorn").join(file)
    } else {
        root.join("tests").join(file)
    }
}
