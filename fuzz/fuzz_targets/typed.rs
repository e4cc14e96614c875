//! One payload decoded by serde into types of many shapes; what fits one comes back from its encoding.
#![no_main]

use std::collections::BTreeMap;
use std::fmt::Debug;

use gunmetal_protocol::{Bytes, Segments, Value, from_bytes, from_slice, to_segments};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    app_path: String,
    action: String,
    args: Vec<Value>,
    kwargs: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Shape {
    Empty,
    Number(i64),
    Pair(u8, Option<f32>),
    Fields { name: String, data: Bytes, inner: Option<Box<Shape>> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Tree {
    Leaf(i64),
    Text(String),
    Node(Vec<Tree>),
    Named(BTreeMap<String, Tree>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct Loose {
    result: Value,
    #[serde(with = "gunmetal_protocol::shared_bytes")]
    data: Bytes,
    #[serde(with = "serde_bytes")]
    raw: Vec<u8>,
    flags: BTreeMap<bool, char>,
    counts: BTreeMap<i32, (u64, i128)>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Default for Loose {
    fn default() -> Self {
        Self {
            result: Value::None,
            data: Bytes::new(),
            raw: Vec::new(),
            flags: BTreeMap::new(),
            counts: BTreeMap::new(),
            rest: BTreeMap::new(),
        }
    }
}

fuzz_target!(|payload: &[u8]| {
    there_and_back::<Request>(payload);
    there_and_back::<Vec<Shape>>(payload);
    there_and_back::<Tree>(payload);
    there_and_back::<Loose>(payload);
    there_and_back::<BTreeMap<Option<u16>, (char, bool, ())>>(payload);
    let _ = from_slice::<(&str, &[u8])>(payload);
});

fn there_and_back<T: Debug + Serialize + DeserializeOwned + 'static>(payload: &[u8]) {
    let Ok(first) = from_slice::<T>(payload) else {
        assert!(from_bytes::<T>(Bytes::copy_from_slice(payload)).is_err());
        return;
    };
    let mut out = Segments::new();
    to_segments(&first, &mut out).unwrap();
    let second: T = from_bytes(out.into_contiguous()).unwrap();
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}
