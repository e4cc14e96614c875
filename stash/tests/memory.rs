//! What counts as memory in use.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use gunmetal_stash::{Key, Stash, StashError, Stored};

#[test]
fn a_value_counts_until_whoever_was_given_it_lets_go_of_it() {
    let mut stash = Stash::new(1 << 20);
    let value = vec![0; 300 << 10];
    stash.put("t", Key::Int(1), &value).unwrap();
    let used = stash.used();
    let mut given = Vec::new();
    let refused = loop {
        let Some(Stored::Large(bytes)) = stash.get("t", Key::Int(1)) else { panic!("the value is large") };
        given.push(bytes.clone());
        assert!(given.len() < 10, "{} values are kept, {} bytes are counted", given.len(), stash.used());
        if let Err(error) = stash.put("t", Key::Int(1), &value) {
            break error;
        }
    };
    assert!(matches!(refused, StashError::OverLimit { .. }), "{refused}");
    assert!(stash.delete("t", Key::Int(1)));
    assert!(stash.put("t", Key::Int(2), &value).is_err());
    drop(given);
    stash.put("t", Key::Int(2), &value).unwrap();
    assert_eq!(stash.used(), used);
}
