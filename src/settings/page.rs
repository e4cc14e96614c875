//! The page of settings, `docs/settings.md`, against the table.

use super::key::{Default, Form, Key};

#[test]
fn the_page_of_settings_says_what_the_table_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    let page = std::fs::read_to_string(path).unwrap();
    for key in Key::all() {
        let section = section(key);
        assert!(page.contains(&section), "docs/settings.md does not have, word for word:\n\n{section}");
    }
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### `"))
        .map(|name| name.trim_end_matches('`'))
        .collect();
    assert_eq!(names, Key::names().collect::<Vec<_>>(), "settings on the page, in the order of the table");
}

/// How a setting's section begins; what more there is to say follows.
fn section(key: Key) -> String {
    let entry = key.entry();
    let short = entry.short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let alias = entry.alias.map(|alias| format!(", `--{alias}`")).unwrap_or_default();
    let repeat = if entry.form == Form::List { " (repeat it)" } else { "" };
    let variable = key.variable().map_or("none".into(), |name| format!("`{name}`"));
    let default = match entry.default {
        Default::Value(text) => format!("`{text}`"),
        // Not to be taken for a tag.
        Default::Unset(text) => text.replace('<', "\\<"),
    };
    format!(
        "### `{}`\n\n{}.\n\n| flag | environment | default | allowed |\n|---|---|---|---|\n| {short}`--{}`{alias}{repeat} | \
         {variable} | {default} | {} |\n\n",
        entry.name,
        entry.help,
        entry.flag,
        key.allowed(),
    )
}
