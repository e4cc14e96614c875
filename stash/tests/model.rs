//! The stash beside a model that is plainly right: an ordered map for each table.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use gunmetal_protocol::{Bytes, Segments, Value, encode_value};
use gunmetal_stash::{Answer, Key, Stash, StashError, Stored};
use indexmap::IndexMap;
use proptest::prelude::*;

/// Keys as Python's dict tells them apart: a bool is its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ModelKey {
    None,
    Int(i64),
    Bytes(Vec<u8>),
    Str(String),
}

#[derive(Debug, Clone)]
enum OwnKey {
    None,
    Bool(bool),
    Int(i64),
    Bytes(Vec<u8>),
    Str(String),
}

impl OwnKey {
    fn as_key(&self) -> Key<'_> {
        match self {
            Self::None => Key::None,
            Self::Bool(bool) => Key::Bool(*bool),
            Self::Int(int) => Key::Int(*int),
            Self::Bytes(bytes) => Key::Bytes(bytes),
            Self::Str(str) => Key::Str(str),
        }
    }

    fn to_model(&self) -> ModelKey {
        match self.clone() {
            Self::None => ModelKey::None,
            Self::Bool(bool) => ModelKey::Int(bool.into()),
            Self::Int(int) => ModelKey::Int(int),
            Self::Bytes(bytes) => ModelKey::Bytes(bytes),
            Self::Str(str) => ModelKey::Str(str),
        }
    }

    fn to_value(&self) -> Value {
        match self.clone() {
            Self::None => Value::None,
            Self::Bool(bool) => bool.into(),
            Self::Int(int) => int.into(),
            Self::Bytes(bytes) => Bytes::from(bytes).into(),
            Self::Str(str) => str.into(),
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(u8, OwnKey, usize),
    Delete(u8, OwnKey),
    Clear(u8),
    Ensure(u8),
    DeleteTable(u8),
    Sweep,
}

fn table(number: u8) -> String {
    format!("table {}", number % 3)
}

fn key() -> impl Strategy<Value = OwnKey> {
    prop_oneof![
        1 => Just(OwnKey::None),
        1 => any::<bool>().prop_map(OwnKey::Bool),
        4 => (-2..40_i64).prop_map(OwnKey::Int),
        2 => prop::collection::vec(any::<u8>(), 0..2).prop_map(OwnKey::Bytes),
        4 => "[a-c]{0,2}".prop_map(OwnKey::Str),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (any::<u8>(), key(), prop_oneof![0..300_usize, 8000..9000_usize])
            .prop_map(|(table, key, len)| Op::Put(table, key, len)),
        12 => (any::<u8>(), key()).prop_map(|(table, key)| Op::Delete(table, key)),
        1 => any::<u8>().prop_map(Op::Clear),
        1 => any::<u8>().prop_map(Op::Ensure),
        1 => any::<u8>().prop_map(Op::DeleteTable),
        1 => Just(Op::Sweep),
    ]
}

fn encoded(value: &Value) -> Bytes {
    let mut out = Segments::new();
    encode_value(value, &mut out).unwrap();
    out.into_contiguous()
}

fn value(len: usize) -> Bytes {
    encoded(&Value::Bytes(vec![u8::try_from(len % 256).unwrap(); len].into()))
}

/// Asks by message, as the router does.
fn ask(stash: &mut Stash, request: &Value) -> Result<Value, StashError> {
    let answer = match stash.answer(&encoded(request), None)? {
        Answer::Bool(bool) => return Ok(bool.into()),
        Answer::Stored(stored) => Bytes::copy_from_slice(stored.bytes()),
        Answer::Encoded(value) => value,
        Answer::Listing(mut listing) => {
            // In the smallest steps.
            while !listing.advance(stash, 1) {}
            listing.finish()?.into()
        }
    };
    Ok(Value::decode(answer).unwrap())
}

type Model = IndexMap<String, IndexMap<ModelKey, (OwnKey, Bytes)>>;

fn compare(stash: &mut Stash, model: &Model) -> Result<(), TestCaseError> {
    let tables: Vec<Value> = model.keys().map(|name| name.as_str().into()).collect();
    prop_assert_eq!(ask(stash, &gunmetal_protocol::value!({"op": 9}))?, Value::from(tables));
    for (name, entries) in model {
        let keys: Vec<Value> = entries.values().map(|(key, _)| key.to_value()).collect();
        let request = gunmetal_protocol::value!({"op": 4, "table": name.as_str()});
        prop_assert_eq!(ask(stash, &request)?, Value::from(keys.clone()));
        prop_assert_eq!(stash.info(name).unwrap().len, entries.len());
        for (key, value) in entries.values() {
            prop_assert_eq!(stash.get(name, key.as_key()).map(Stored::bytes), Some(&value[..]));
        }
        let mut pages = Vec::new();
        let mut cursor = 0;
        loop {
            let request =
                gunmetal_protocol::value!({"op": 64, "table": name.as_str(), "cursor": cursor, "count": 7});
            let page = ask(stash, &request)?;
            let items = page.get("items").unwrap().as_list().unwrap();
            prop_assert!(items.len() <= 7);
            pages.extend(items.iter().cloned());
            cursor = page.get("cursor").unwrap().as_int().unwrap();
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(pages, keys);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_what_the_model_has(ops in prop::collection::vec(op(), 1..400)) {
        let mut stash = Stash::new(u64::MAX / 2);
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Put(number, key, len) => {
                    stash.put(&table(number), key.as_key(), &value(len))?;
                    let entries = model.entry(table(number)).or_default();
                    // The first key stays, the value is the last.
                    entries.entry(key.to_model()).or_insert_with(|| (key, Bytes::new())).1 = value(len);
                }
                Op::Delete(number, key) => {
                    let expected = model
                        .get_mut(&table(number))
                        .is_some_and(|entries| entries.shift_remove(&key.to_model()).is_some());
                    prop_assert_eq!(stash.delete(&table(number), key.as_key()), expected);
                }
                Op::Clear(number) => {
                    stash.clear(&table(number));
                    if let Some(entries) = model.get_mut(&table(number)) {
                        entries.clear();
                    }
                }
                Op::Ensure(number) => {
                    stash.ensure(&table(number))?;
                    model.entry(table(number)).or_default();
                }
                Op::DeleteTable(number) => {
                    let expected = model.shift_remove(&table(number)).is_some();
                    prop_assert_eq!(stash.delete_table(&table(number)), expected);
                }
                Op::Sweep => while stash.sweep() {},
            }
        }
        compare(&mut stash, &model)?;
        for name in model.keys() {
            stash.delete_table(name);
        }
        while stash.sweep() {}
        prop_assert_eq!(stash.used(), 0);
    }

    #[test]
    fn a_scan_gives_every_key_that_stays_exactly_once(
        start in 1..3000_i64,
        // After each page: how many of the first keys to delete, and how many new ones to put.
        steps in prop::collection::vec((0..1500_i64, 0..700_i64), 1..12),
    ) {
        let mut stash = Stash::new(u64::MAX / 2);
        for key in 0..start {
            stash.put("t", Key::Int(key), b"\0")?;
        }
        let (mut next, mut deleted) = (start, std::collections::HashSet::new());
        let mut steps = steps.into_iter();
        let (mut seen, mut cursor) = (Vec::new(), 0);
        loop {
            let request = gunmetal_protocol::value!({"op": 64, "table": "t", "cursor": cursor, "count": 97});
            let page = ask(&mut stash, &request)?;
            seen.extend(page.get("items").unwrap().as_list().unwrap().iter().map(|key| key.as_int().unwrap()));
            cursor = page.get("cursor").unwrap().as_int().unwrap();
            if cursor == 0 {
                break;
            }
            let Some((deletions, puts)) = steps.next() else { continue };
            for victim in 0..deletions {
                // Every third, so that chunks become sparse and are merged.
                let key = victim * 3 % next;
                if stash.delete("t", Key::Int(key)) {
                    deleted.insert(key);
                }
            }
            for key in next..next + puts {
                stash.put("t", Key::Int(key), b"\0")?;
            }
            next += puts;
        }
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), seen.len(), "a key came twice");
        for key in 0..start {
            prop_assert!(deleted.contains(&key) || seen.contains(&key), "{} is missing", key);
        }
        // In the order in which they came.
        prop_assert!(seen.is_sorted());
    }
}

#[test]
fn a_large_table_keeps_its_order_through_deletions() {
    let mut stash = Stash::new(u64::MAX / 2);
    let name = |number: u32| format!("key {number}");
    for number in 0..200_000 {
        stash.put("t", Key::Str(&name(number)), &number.to_be_bytes()).unwrap();
    }
    let stays = |number: u32| number.is_multiple_of(97) || number > 199_000;
    for number in (0..200_000).filter(|number| !stays(*number)) {
        assert!(stash.delete("t", Key::Str(&name(number))));
    }
    let left: Vec<Value> =
        (0..200_000).filter(|number| stays(*number)).map(|number| name(number).into()).collect();
    let keys = ask(&mut stash, &gunmetal_protocol::value!({"op": 4, "table": "t"})).unwrap();
    assert_eq!(keys, Value::from(left));
    for number in 0..200_000 {
        let found = stash.get("t", Key::Str(&name(number))).map(|value| value.bytes().to_vec());
        assert_eq!(found, stays(number).then(|| number.to_be_bytes().to_vec()));
    }
}

#[test]
fn a_put_that_does_not_fit_changes_nothing() {
    let mut stash = Stash::new(20_000);
    stash.put("t", Key::Str("a"), &value(10_000)).unwrap();
    let used = stash.used();
    let error = stash.put("t", Key::Str("b"), &value(12_000)).unwrap_err();
    let StashError::OverLimit { ref table, size, used: told, limit } = error else { panic!("{error}") };
    assert_eq!((table.as_str(), told, limit), ("t", used, 20_000));
    assert!((12_000..12_300).contains(&size), "{size}");
    assert!(error.to_string().contains("20000"), "{error}");
    assert_eq!(stash.used(), used);
    assert!(stash.get("t", Key::Str("b")).is_none());
    // No table is left behind either.
    stash.put("new", Key::None, &value(12_000)).unwrap_err();
    assert!(!stash.has_table("new"));
    // Less in the place of more always fits, and so does as much.
    stash.put("t", Key::Str("a"), &value(10_000)).unwrap();
    stash.put("t", Key::Str("a"), &value(9_000)).unwrap();
    stash.put("t", Key::Str("a"), &value(18_500)).unwrap();
    stash.put("t", Key::Str("a"), &value(19_500)).unwrap_err();
    assert!(stash.delete("t", Key::Str("a")));
    stash.put("t", Key::Str("b"), &value(18_500)).unwrap();
}

#[test]
fn what_was_cleared_makes_room_at_once() {
    let mut stash = Stash::new(4 << 20);
    let fill = |stash: &mut Stash| {
        let mut count = 0;
        while stash.put("t", Key::Int(count), &value(100)).is_ok() {
            count += 1;
        }
        count
    };
    let count = fill(&mut stash);
    assert!(count > 20_000, "{count}");
    stash.clear("t");
    assert!(stash.is_unswept());
    assert_eq!(fill(&mut stash), count);
    stash.delete_table("t");
    while stash.sweep() {}
    assert_eq!(stash.used(), 0);
}

#[test]
fn a_large_value_is_kept_in_the_frame_it_came_in_unless_that_is_much_longer() {
    let mut stash = Stash::new(1 << 30);
    let put = |padding: usize| {
        gunmetal_protocol::value!({
            "op": 1, "table": "t", "key": "k", "value": (Bytes::from(vec![7; 100_000])),
            "ignored": (Bytes::from(vec![0; padding])),
        })
    };
    let frame = encoded(&put(0));
    stash.answer(&frame, Some(&frame)).unwrap();
    let Some(Stored::Large(kept)) = stash.get("t", Key::Str("k")) else { panic!("not kept as it came") };
    assert!(frame.as_ptr_range().contains(&kept.as_ptr()), "copied");
    let frame = encoded(&put(1 << 20));
    stash.answer(&frame, Some(&frame)).unwrap();
    let Some(Stored::Large(kept)) = stash.get("t", Key::Str("k")) else { panic!("not kept") };
    assert!(!frame.as_ptr_range().contains(&kept.as_ptr()), "keeps a megabyte that nobody sees");
    assert_eq!(kept.len(), 100_005);
}

#[test]
fn keys_that_make_too_long_a_reply_are_an_error_that_says_so() {
    let mut stash = Stash::new(u64::MAX / 2);
    let long = "x".repeat(1 << 20);
    for number in 0..70 {
        stash.put("t", Key::Str(&format!("{number}{long}")), b"\0").unwrap();
    }
    let error = ask(&mut stash, &gunmetal_protocol::value!({"op": 4, "table": "t"})).unwrap_err().to_string();
    assert!(
        error.contains("70 items") && error.contains("67108800 bytes") && error.contains("iterate"),
        "{error}"
    );
    let some =
        ask(&mut stash, &gunmetal_protocol::value!({"op": 4, "table": "t", "pattern": "6[0-9]x*"})).unwrap();
    assert_eq!(some.as_list().unwrap().len(), 10);
    let page = ask(&mut stash, &gunmetal_protocol::value!({"op": 64, "table": "t", "count": 1000})).unwrap();
    assert_eq!(page.get("items").unwrap().as_list().unwrap().len(), 1, "about a megabyte a page");

    for number in 0..(1 << 20) + 1 {
        stash.put("many", Key::Int(number), b"\0").unwrap();
    }
    let error =
        ask(&mut stash, &gunmetal_protocol::value!({"op": 4, "table": "many"})).unwrap_err().to_string();
    assert!(error.contains("1048577 items"), "{error}");
}

#[test]
fn a_pattern_that_is_too_long_is_refused() {
    let mut stash = Stash::new(1 << 20);
    let request = gunmetal_protocol::value!({"op": 4, "table": "t", "pattern": ("a".repeat(1025))});
    let error = ask(&mut stash, &request).unwrap_err().to_string();
    assert_eq!(error, "a pattern of 1025 bytes exceeds the limit of 1024 bytes");
}

#[test]
fn many_tables_are_listed_in_the_order_in_which_they_were_made() {
    let mut stash = Stash::new(1 << 30);
    let name = |number: u32| format!("table {number}");
    for number in 0..20_000 {
        stash.put(&name(number), Key::None, &number.to_be_bytes()).unwrap();
    }
    for number in (0..20_000_u32).filter(|number| !number.is_multiple_of(7)) {
        assert!(stash.delete_table(&name(number)));
    }
    stash.ensure("last").unwrap();
    let left = (0..20_000_u32).filter(|number| number.is_multiple_of(7)).map(name);
    let left: Vec<Value> = left.chain(["last".to_owned()]).map(Value::from).collect();
    assert_eq!(ask(&mut stash, &gunmetal_protocol::value!({"op": 9})).unwrap(), Value::from(left));
    for number in (0..20_000_u32).step_by(7) {
        assert_eq!(stash.get(&name(number), Key::None).map(Stored::bytes), Some(&number.to_be_bytes()[..]));
    }
}
