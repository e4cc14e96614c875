use proptest::prelude::*;

use super::arbitrary::{any_value, nested};
use super::*;
use crate::{
    DecodeError, EncodeError, MAX_DEPTH, Segments, ValueRef, encode_value, from_slice, to_segments, value,
};

fn encoded(value: &Value) -> Bytes {
    let mut out = Segments::new();
    encode_value(value, &mut out).unwrap();
    out.into_contiguous()
}

/// Runs `work` on a thread with a stack so small that recursion over 1,000 levels would overflow it.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn decoding_an_encoding_gives_the_same_value(value in any_value()) {
        let payload = encoded(&value);
        prop_assert_eq!(&Value::decode(payload.clone()).unwrap(), &value);
        prop_assert_eq!(&ValueRef::decode(&payload).unwrap().to_value(), &value);
        prop_assert_eq!(&from_slice::<Value>(&payload).unwrap(), &value);
        let mut out = Segments::new();
        to_segments(&value, &mut out).unwrap();
        prop_assert_eq!(out.into_contiguous(), payload);
    }

    #[test]
    fn a_clone_is_equal_and_looks_the_same(value in any_value()) {
        let clone = value.clone();
        prop_assert_eq!(&clone, &value);
        prop_assert_eq!(format!("{clone:?}"), format!("{value:?}"));
    }

    #[test]
    fn arbitrary_bytes_are_decoded_alike_or_refused_alike(bytes in prop::collection::vec(0..0x22_u8, 0..60)) {
        let owned = Value::decode(Bytes::from(bytes.clone()));
        prop_assert_eq!(format!("{:?}", ValueRef::decode(&bytes).map(Value::from)), format!("{owned:?}"));
    }
}

#[test]
fn a_thousand_levels_need_only_a_small_stack() {
    on_a_small_stack(|| {
        let value = nested(MAX_DEPTH);
        let payload = encoded(&value);
        assert!(ValueRef::decode(&payload).is_ok());
        let decoded = Value::decode(payload.clone()).unwrap();
        let through_serde: (Value,) =
            from_slice(&[b"\x20\0\0\0\x01", &encoded(&nested(999))[..]].concat()).unwrap();
        assert_eq!(decoded, value);
        assert_eq!(value.clone(), decoded);
        assert_eq!(format!("{value:?}").len(), format!("{decoded:?}").len());
        to_segments(&through_serde, &mut Segments::new()).unwrap();
        assert_eq!(ValueRef::decode(&payload).unwrap().to_value(), value);
    });
}

#[test]
fn a_hundred_thousand_levels_built_by_hand_are_dropped_and_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        let value = nested(100_000);
        assert_eq!(encode_value(&value, &mut Segments::new()), Err(EncodeError::TooDeep { max: MAX_DEPTH }));
        assert_eq!(value.clone(), value);
    });
}

#[test]
fn one_level_more_is_refused_by_every_decoder() {
    let payload = [&b"\x20\0\0\0\x01"[..]; MAX_DEPTH].concat();
    let just = [&payload[..], b"\0"].concat();
    let over = [&payload[..], b"\x20\0\0\0\0"].concat();
    let error = DecodeError::TooDeep { offset: 5 * MAX_DEPTH, max: MAX_DEPTH };
    assert!(ValueRef::decode(&just).is_ok());
    assert!(Value::decode(just.into()).is_ok());
    assert_eq!(ValueRef::decode(&over).unwrap_err(), error);
    assert_eq!(Value::decode(over.clone().into()).unwrap_err(), error);
    assert_eq!(from_slice::<Value>(&over).unwrap_err(), error);
    assert_eq!(from_slice::<::serde::de::IgnoredAny>(&over).unwrap_err(), error);
    assert_eq!(
        encode_value(&nested(MAX_DEPTH + 1), &mut Segments::new()),
        Err(EncodeError::TooDeep { max: MAX_DEPTH })
    );
}

#[test]
fn strings_and_bytes_are_slices_of_the_payload() {
    let payload = encoded(&value!({"key": ["text", (b"bytes")]}));
    let range = payload.as_ptr_range();
    let Value::Dict(dict) = Value::decode(payload).unwrap() else { panic!() };
    let (key, list) = dict.first().unwrap();
    assert!(range.contains(&key.as_ptr()));
    assert!(range.contains(&list.as_list().unwrap()[0].as_str().unwrap().as_ptr()));
    assert!(range.contains(&list.as_list().unwrap()[1].as_bytes().unwrap().as_ptr()));
}

#[test]
fn repeated_keys_keep_the_first_place_and_the_last_value() {
    let payload = b"\x21\0\0\0\x03\x11\0\0\0\x01a\x01\x01\x11\0\0\0\x01b\0\x11\0\0\0\x01a\x01\x00";
    let value = Value::decode(Bytes::from_static(payload)).unwrap();
    assert_eq!(format!("{value:?}"), r#"{"a": false, "b": None}"#);
    assert_eq!(ValueRef::decode(payload).unwrap().as_dict().unwrap().get("a"), Some(ValueRef::Bool(false)));
}

#[test]
fn kinds_never_equal_each_other() {
    let values = [
        value!(null),
        value!(0),
        value!(0.0),
        value!(false),
        value!(""),
        value!(b""),
        value!([]),
        value!({}),
        value!([null]),
        value!({"": null}),
        value!({"a": null}),
    ];
    for (at, a) in values.iter().enumerate() {
        for (other, b) in values.iter().enumerate() {
            assert_eq!(a == b, at == other, "{a:?} and {b:?}");
        }
    }
    assert_ne!(value!(f64::NAN), value!(f64::NAN));
    assert_eq!(value!({"a": 1, "b": 2}), value!({"b": 2, "a": 1}));
}

#[test]
fn the_macro_takes_what_json_takes_and_expressions() {
    let (n, names, flag) = (5, vec!["x", "y"], Some(true));
    let value = value!({
        "n": n * 2 + 1, "names": names, "flag": flag, "nothing": None, "empty": [[], {}],
        "call": i64::from(3_u8), (format!("key {n}")): [n, -1, [null, {"deep": [1.5,]}],],
    });
    assert_eq!(
        format!("{value:?}"),
        r#"{"n": 11, "names": ["x", "y"], "flag": true, "nothing": None, "empty": [[], {}], "call": 3, "key 5": [5, -1, [None, {"deep": [1.5]}]]}"#
    );
    assert_eq!(value!(if n > 3 { "many" } else { "few" }), Value::from("many"));
}

#[test]
fn integers_that_do_not_fit_are_named() {
    assert_eq!(
        Value::try_from(u64::MAX).unwrap_err().to_string(),
        "integer 18446744073709551615 does not fit in 64 bits with sign (-9223372036854775808 to 9223372036854775807)"
    );
    assert_eq!(Value::try_from(7_usize).unwrap(), Value::Int(7));
}

#[test]
fn lists_and_dicts_are_the_collections_they_wrap() {
    let mut list: List = [1, 2].into_iter().collect();
    list.push(3.into());
    list.extend(["four"]);
    assert_eq!(list.into_vec().len(), 4);
    let mut dict = Dict::from_iter([("b", 1), ("a", 2)]);
    assert_eq!(dict.insert("b", 3), Some(Value::Int(1)));
    assert_eq!(dict.keys().map(|key| &**key).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(dict.remove("b"), Some(Value::Int(3)));
    assert_eq!(dict["a"], Value::Int(2));
    assert_eq!(Value::from(dict).get("a"), Some(&Value::Int(2)));
}

/// What [`Value::decode`]'s page says of memory.
#[test]
fn a_value_takes_at_most_72_bytes() {
    assert!(size_of::<Value>() <= 72, "{}", size_of::<Value>());
}
