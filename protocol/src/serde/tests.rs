//! Types of every shape of serde's data model, there and back.

use std::collections::{BTreeMap, HashMap};

use ::serde::{Deserialize, Serialize};
use bytes::{Buf, Bytes};

use super::{from_bytes, from_slice, from_value, to_segments, to_value};
use crate::{
    ByteString, DecodeError, Dict, EncodeError, MAX_TYPED_DEPTH, Segments, Value, encode_value, value,
};

fn encoded<T: Serialize + ?Sized>(value: &T) -> Bytes {
    let mut out = Segments::new();
    to_segments(value, &mut out).unwrap();
    out.into_contiguous()
}

/// The bytes of a value that was written down by hand, through the encoder that the vectors check.
fn bytes_of(value: &Value) -> Bytes {
    let mut out = Segments::new();
    encode_value(value, &mut out).unwrap();
    out.into_contiguous()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i64, i64),
    Rectangle { width: u32, height: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    small: i8,
    large: u64,
    wide: i128,
    ratio: f32,
    letter: char,
    text: String,
    raw: Bytes,
    #[serde(with = "serde_bytes")]
    buffer: Vec<u8>,
    list: Vec<u16>,
    pair: (i32, String),
    some: Option<Box<Everything>>,
    none: Option<u8>,
    unit: (),
    marker: Unit,
    meters: Meters,
    shapes: Vec<Shape>,
    counts: BTreeMap<i32, String>,
    flags: BTreeMap<bool, u8>,
    value: Value,
}

fn everything() -> Everything {
    Everything {
        flag: true,
        small: -128,
        large: i64::MAX as u64,
        wide: i64::MIN.into(),
        ratio: 1.5,
        letter: 'ß',
        text: "hällo".into(),
        raw: Bytes::from_static(b"\0\xff"),
        buffer: vec![1, 2, 3],
        list: vec![0, 65535],
        pair: (-1, "x".into()),
        some: None,
        none: None,
        unit: (),
        marker: Unit,
        meters: Meters(2.5),
        shapes: vec![
            Shape::Empty,
            Shape::Circle(0.5),
            Shape::Line(1, -1),
            Shape::Rectangle { width: 3, height: 4 },
        ],
        counts: BTreeMap::from([(-5, "a".into()), (7, "b".into())]),
        flags: BTreeMap::from([(false, 0), (true, 1)]),
        value: value!({"deep": [[{}], null, 1.25, true]}),
    }
}

#[test]
fn every_shape_comes_back() {
    let inner = everything();
    let outer = Everything { some: Some(Box::new(inner.clone())), none: Some(7), ..inner };
    let bytes = encoded(&outer);
    assert_eq!(from_bytes::<Everything>(bytes.clone()).unwrap(), outer);
    assert_eq!(from_slice::<Everything>(&bytes).unwrap(), outer);
    assert_eq!(from_value::<Everything>(to_value(&outer).unwrap()).unwrap(), outer);
}

#[test]
fn shapes_are_what_python_would_write() {
    let expected = value!({
        "flag": true, "small": (-128), "large": (i64::MAX), "wide": (i64::MIN), "ratio": 1.5, "letter": "ß",
        "text": "hällo", "raw": (b"\0\xff"), "buffer": (b"\x01\x02\x03"), "list": [0, 65535], "pair": [-1, "x"],
        "some": null, "none": null, "unit": null, "marker": null, "meters": 2.5,
        "shapes": ["Empty", {"Circle": 0.5}, {"Line": [1, -1]}, {"Rectangle": {"width": 3, "height": 4}}],
        "counts": {"-5": "a", "7": "b"}, "flags": {"False": 0, "True": 1},
        "value": {"deep": [[{}], null, 1.25, true]},
    });
    assert_eq!(encoded(&everything()), bytes_of(&expected));
}

#[test]
fn strings_and_bytes_borrow_from_the_payload() {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        name: &'a str,
        data: &'a [u8],
    }
    let payload = bytes_of(&value!({"name": "n", "data": (b"abc")}));
    let borrowed: Borrowed<'_> = from_slice(&payload).unwrap();
    let range = payload.as_ptr_range();
    assert!(range.contains(&borrowed.name.as_ptr()) && range.contains(&borrowed.data.as_ptr()));
}

#[test]
fn integers_out_of_range_are_named() {
    for (result, value) in [
        (to_value(&u64::MAX), "18446744073709551615"),
        (to_value(&(i64::MAX as u64 + 1)), "9223372036854775808"),
        (to_value(&i128::MIN), "-170141183460469231731687303715884105728"),
        (to_value(&u128::MAX), "340282366920938463463374607431768211455"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error, EncodeError::IntOutOfRange { value: value.into() });
        assert!(error.to_string().contains(value), "{error}");
    }
    assert_eq!(to_value(&(i64::MAX as u128)).unwrap(), Value::Int(i64::MAX));
}

#[test]
fn keys_of_other_types_become_strings_as_in_python() {
    fn key<K: Serialize + Eq + std::hash::Hash>(key: K) -> Result<String, EncodeError> {
        let dict: Dict = from_value(to_value(&HashMap::from([(key, ())]))?).unwrap();
        Ok(dict.keys().next().unwrap().to_string())
    }
    assert_eq!(key(-7_i64).unwrap(), "-7");
    assert_eq!(key(u64::MAX).unwrap(), "18446744073709551615");
    assert_eq!(key(true).unwrap(), "True");
    assert_eq!(key(()).unwrap(), "None");
    assert_eq!(key(None::<u8>).unwrap(), "None");
    assert_eq!(key(Some(3)).unwrap(), "3");
    assert_eq!(key('x').unwrap(), "x");
    assert_eq!(key(serde_bytes::ByteBuf::from(b"a'".to_vec())).unwrap(), r#"b"a'""#);
    assert_eq!(key((1, 2)).unwrap_err(), EncodeError::UnsupportedKey { found: "tuple" });
    assert_eq!(key(vec![1]).unwrap_err(), EncodeError::UnsupportedKey { found: "list" });
}

#[test]
fn an_encoding_that_fails_leaves_nothing_behind() {
    let mut out = Segments::new();
    out.put_slice(b"before");
    let large = Value::Bytes(vec![0; 10_000].into());
    to_segments(&(1, large, u64::MAX), &mut out).unwrap_err();
    assert_eq!(out.into_contiguous(), "before");
}

#[test]
fn a_count_that_is_known_only_at_the_end_is_patched() {
    struct Evens;
    impl Serialize for Evens {
        fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer
                .collect_seq((0..6).filter(|n| n % 2 == 0).map(|n| (n, Value::Bytes(vec![n; 5000].into()))))
        }
    }
    let list = to_value(&Evens).unwrap();
    assert_eq!(list.as_list().unwrap().len(), 3);
    assert_eq!(list.as_list().unwrap()[2].as_list().unwrap()[0], Value::Int(4));
}

#[test]
fn the_last_of_a_structs_repeated_fields_wins() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: i64,
        y: String,
    }
    // {"x": 1, "y": [], "z": 9, "x": {}, "y": "last", "z": 8, "x": 3}
    let payload = b"\x21\0\0\0\x07\
        \x11\0\0\0\x01x\x05\0\0\0\0\0\0\0\x01\
        \x11\0\0\0\x01y\x20\0\0\0\0\
        \x11\0\0\0\x01z\x05\0\0\0\0\0\0\0\x09\
        \x11\0\0\0\x01x\x21\0\0\0\0\
        \x11\0\0\0\x01y\x11\0\0\0\x04last\
        \x11\0\0\0\x01z\x05\0\0\0\0\0\0\0\x08\
        \x11\0\0\0\x01x\x05\0\0\0\0\0\0\0\x03";
    assert_eq!(from_slice::<Point>(payload).unwrap(), Point { x: 3, y: "last".into() });
    let map: HashMap<String, Value> = from_slice(payload).unwrap();
    assert_eq!(map["x"], Value::Int(3));
}

#[test]
fn a_vec_of_bytes_reads_bytes_and_lists() {
    assert_eq!(from_slice::<Vec<u8>>(b"\x10\0\0\0\x02\x01\xff").unwrap(), [1, 255]);
    assert_eq!(from_bytes::<Vec<u8>>(Bytes::from_static(b"\x10\0\0\0\x02\x01\xff")).unwrap(), [1, 255]);
    assert_eq!(from_value::<Vec<u8>>(value!([1, 255])).unwrap(), [1, 255]);
}

#[test]
fn whole_values_and_bytes_are_slices_of_the_payload() {
    let payload = bytes_of(&Value::Bytes(vec![7; 9000].into()));
    let range = payload.as_ptr_range();
    let bytes: Bytes = from_bytes(payload.clone()).unwrap();
    assert!(range.contains(&bytes.as_ptr()));
    let value: Value = from_bytes(payload.clone()).unwrap();
    assert!(range.contains(&value.as_bytes().unwrap().as_ptr()));
    let (in_a_field,): (Value,) = from_bytes(bytes_of(&value!([value]))).unwrap();
    assert_eq!(in_a_field.as_bytes().unwrap().len(), 9000);
    let text: ByteString = from_bytes(Bytes::from_static(b"\x11\0\0\0\x02hi")).unwrap();
    assert_eq!(text, "hi");
}

#[test]
fn large_bytes_in_a_value_are_linked_through_serde() {
    #[derive(Serialize)]
    struct Image {
        name: &'static str,
        pixels: Value,
    }
    let pixels = Bytes::from(vec![1; 1 << 20]);
    let mut out = Segments::new();
    to_segments(&Image { name: "x", pixels: pixels.clone().into() }, &mut out).unwrap();
    let linked = out.into_iter().find(|part| part.len() == 1 << 20).unwrap();
    assert_eq!(linked.as_ptr(), pixels.as_ptr());
}

#[test]
fn values_pass_through_other_formats_too() {
    let value = value!({"a": [1, -2.5, null, true, "x"], "b": {}});
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r#"{"a":[1,-2.5,null,true,"x"],"b":{}}"#);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
    assert!(
        serde_json::from_str::<Value>("18446744073709551615")
            .unwrap_err()
            .to_string()
            .contains("18446744073709551615")
    );
}

#[test]
fn values_pass_through_serdes_own_buffers() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Job { input: Value },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }
    let job = Tagged::Job { input: value!([1, {"x": null}, (b"raw")]) };
    assert_eq!(from_bytes::<Tagged>(encoded(&job)).unwrap(), job);
    let flat = Flat { id: 1, rest: BTreeMap::from([("v".into(), value!({"w": [2]}))]) };
    assert_eq!(from_bytes::<Flat>(encoded(&flat)).unwrap(), flat);
}

#[test]
fn deep_types_are_refused_and_deep_values_are_not() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nest(Vec<Nest>);
    let nested = |depth: usize| {
        let mut value = Value::List(crate::List::new());
        for _ in 1..depth {
            value = value!([value]);
        }
        value
    };
    from_bytes::<Nest>(bytes_of(&nested(MAX_TYPED_DEPTH))).unwrap();
    let error = from_bytes::<Nest>(bytes_of(&nested(MAX_TYPED_DEPTH + 1))).unwrap_err();
    assert_eq!(error, DecodeError::TooDeep { offset: MAX_TYPED_DEPTH * 5, max: MAX_TYPED_DEPTH });
    let (value,): (Value,) = from_bytes(bytes_of(&nested(1000))).unwrap();
    assert_eq!(value, nested(999));
}

#[test]
fn a_mismatch_says_what_was_found_and_expected() {
    for (error, text) in [
        (from_value::<u8>(value!(300)).unwrap_err(), "invalid value: integer `300`, expected u8"),
        (from_value::<String>(value!(1)).unwrap_err(), "invalid type: integer `1`, expected a string"),
        (from_value::<Meters>(value!("x")).unwrap_err(), "invalid type: string \"x\", expected f64"),
        (from_value::<(u8, u8)>(value!([1])).unwrap_err(), "invalid length 1, expected a tuple of size 2"),
        (from_value::<(u8,)>(value!([1, 2])).unwrap_err(), "invalid length 2, expected 1 items"),
        (from_value::<Dict>(value!([])).unwrap_err(), "invalid type: list, expected a dict"),
        (
            from_value::<Shape>(value!("Round")).unwrap_err(),
            "unknown variant `Round`, expected one of `Empty`, `Circle`, `Line`, `Rectangle`",
        ),
        (
            from_value::<Shape>(value!(1)).unwrap_err(),
            "invalid type: int, expected an enum variant: a string, or a dict with one key",
        ),
        (
            from_value::<Shape>(value!("Circle")).unwrap_err(),
            "invalid type: unit variant, expected newtype variant",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn trailing_bytes_and_truncation_are_refused() {
    assert_eq!(from_slice::<()>(b"\0\0\0").unwrap_err(), DecodeError::TrailingBytes { offset: 1, count: 2 });
    assert!(matches!(from_slice::<i64>(b"\x05\0"), Err(DecodeError::Truncated { what: "int", .. })));
    assert!(matches!(
        from_bytes::<Bytes>(Bytes::from_static(b"\x10\0\0\0\x01")),
        Err(DecodeError::Truncated { .. })
    ));
}

#[test]
fn keys_are_read_back_into_their_types() {
    let map: BTreeMap<i64, u8> = from_value(value!({"-3": 1, "12": 2})).unwrap();
    assert_eq!(map, BTreeMap::from([(-3, 1), (12, 2)]));
    let map: BTreeMap<Option<bool>, u8> = from_value(value!({"None": 1, "True": 2})).unwrap();
    assert_eq!(map, BTreeMap::from([(None, 1), (Some(true), 2)]));
    let error = from_value::<BTreeMap<i64, u8>>(value!({"x": 1})).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: string \"x\", expected i64");
}

#[test]
fn reading_a_segments_to_its_end_gives_the_same_bytes() {
    let mut out = Segments::new();
    to_segments(&everything(), &mut out).unwrap();
    let mut copy = Vec::new();
    while out.has_remaining() {
        copy.push(out.get_u8());
    }
    assert_eq!(copy, encoded(&everything()));
}

#[test]
fn the_deepest_type_fits_on_half_of_a_threads_stack() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "what it holds is of no interest")]
    enum Tree {
        Leaf,
        Node { label: String, children: Vec<Tree> },
    }
    // Each node is three levels: the variant, its fields, and the list of children.
    let value = (0..MAX_TYPED_DEPTH / 3)
        .fold(value!("Leaf"), |inner, _| value!({"Node": {"label": "x", "children": [inner]}}));
    let payload = bytes_of(&value);
    let work = move || drop(from_slice::<Tree>(&payload).unwrap());
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}
