//! The page about companions, `docs/companions.md`, against the keys.

use crate::settings::companions::keys::{self, Field, PREFIX};
use crate::settings::companions::terms::TERMS;
use crate::settings::key::Default;

#[test]
fn the_page_says_of_each_key_what_is_known_of_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/companions.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, page) = page.split_once("\n## Configuration\n").unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let of_companion = keys::of_companion().map(|field| {
        let shared = TERMS.iter().any(|term| term.name == field.name);
        let shared = if shared { format!("`{PREFIX}{}`", field.name) } else { String::new() };
        format!("| `{}` | {shared} | {} | {} |", field.name, default(field), (field.allowed)())
            .replace("|  |", "| |")
    });
    let is_term = |field: &&Field| TERMS.iter().any(|term| term.name == field.name);
    let of_all = keys::of_all()
        .filter(|field| !is_term(field))
        .map(|field| format!("| `{PREFIX}{}` | {} | {} |", field.name, default(field), (field.allowed)()));
    let expected: Vec<String> = of_companion.chain(of_all).collect();
    for row in &expected {
        assert!(
            rows.iter().any(|line| line.starts_with(row)),
            "docs/companions.md does not have\n\n{row} …\n"
        );
    }
    let keys = |rows: &[&str]| -> Vec<String> {
        rows.iter().filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect()
    };
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(keys(&rows[..expected.len()]), keys(&expected), "keys on the page, in their order");
}

fn default(field: &Field) -> String {
    match field.default {
        Default::Value(text) => format!("`{text}`"),
        Default::Unset(text) => text.to_owned(),
    }
}
