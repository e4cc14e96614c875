use hashbrown::DefaultHashBuilder;
use proptest::prelude::*;

use super::*;

fn encoded(key: &Key<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out);
    assert_eq!(out.len(), key.encoded_len());
    out
}

#[test]
fn keys_are_equal_where_pythons_are() {
    let hasher = DefaultHashBuilder::default();
    let same = |one: Key<'_>, other: Key<'_>| {
        let is_same = one.is_at_front_of(&encoded(&other));
        assert_eq!(is_same, other.is_at_front_of(&encoded(&one)));
        assert!(!is_same || one.hash_with(&hasher) == other.hash_with(&hasher));
        is_same
    };
    assert!(same(Key::Bool(true), Key::Int(1)));
    assert!(same(Key::Bool(false), Key::Int(0)));
    assert!(same(Key::None, Key::None));
    assert!(same(Key::Str("a"), Key::Str("a")));
    assert!(!same(Key::Bool(true), Key::Int(2)));
    assert!(!same(Key::Str("1"), Key::Int(1)));
    assert!(!same(Key::Str("1"), Key::Bytes(b"1")));
    assert!(!same(Key::Str(""), Key::None));
    assert!(!same(Key::Str("a"), Key::Str("ab")));
    assert!(!same(Key::None, Key::Bool(false)));
}

#[test]
fn a_key_is_written_as_python_writes_it() {
    let cases: [(Key<'_>, &str); 12] = [
        (Key::None, "None"),
        (Key::Bool(true), "True"),
        (Key::Bool(false), "False"),
        (Key::Int(-5), "-5"),
        (Key::Int(i64::MIN), "-9223372036854775808"),
        (Key::Str("it's"), "it's"),
        (Key::Bytes(b""), "b''"),
        (Key::Bytes(b"a'b"), "b\"a'b\""),
        (Key::Bytes(b"a'\"b"), "b'a\\'\"b'"),
        (Key::Bytes(b"a\"b"), "b'a\"b'"),
        (Key::Bytes(b"\\\t\n\r\x00\x7f\xff~"), "b'\\\\\\t\\n\\r\\x00\\x7f\\xff~'"),
        (Key::Bytes("é".as_bytes()), "b'\\xc3\\xa9'"),
    ];
    for (key, text) in cases {
        assert_eq!(key.to_string(), text);
        assert_eq!(key.text(&mut String::from("what was there")), text);
    }
}

#[test]
fn only_hashable_scalars_are_keys() {
    let wrong = |value: ValueRef<'static>| Key::try_from(value).unwrap_err().found;
    assert_eq!(wrong(ValueRef::Float(1.0)), "float");
    assert_eq!(wrong(ValueRef::List(gunmetal_protocol::ListRef::EMPTY)), "list");
}

proptest! {
    #[test]
    fn an_encoded_key_is_found_again_and_is_as_long_as_it_says(key in any_key(), tail: Vec<u8>) {
        let key = key.as_key();
        let mut bytes = encoded(&key);
        let len = bytes.len();
        prop_assert!(key.is_at_front_of(&encoded(&Key::from_encoded(&bytes))));
        bytes.extend(tail);
        prop_assert!(key.is_at_front_of(&bytes));
        prop_assert_eq!(encoded_key_len(&bytes), len);
    }
}

/// A key that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owned {
    None,
    Bool(bool),
    Int(i64),
    Bytes(Vec<u8>),
    Str(String),
}

impl Owned {
    fn as_key(&self) -> Key<'_> {
        match self {
            Self::None => Key::None,
            Self::Bool(bool) => Key::Bool(*bool),
            Self::Int(int) => Key::Int(*int),
            Self::Bytes(bytes) => Key::Bytes(bytes),
            Self::Str(str) => Key::Str(str),
        }
    }
}

fn any_key() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::None),
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::Int),
        any::<Vec<u8>>().prop_map(Owned::Bytes),
        any::<String>().prop_map(Owned::Str),
    ]
}
