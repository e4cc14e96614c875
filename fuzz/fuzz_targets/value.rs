//! One payload: every decoder accepts and refuses the same, with the same error, and what is accepted
//! keeps its meaning through an encoding.
#![no_main]

use gunmetal_protocol::{Bytes, Segments, Value, ValueRef, encode_value, from_slice, to_segments};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|payload: &[u8]| {
    let view = ValueRef::decode(payload);
    let value = Value::decode(Bytes::copy_from_slice(payload));
    let ignored = from_slice::<IgnoredAny>(payload);
    assert_eq!(view.as_ref().err(), value.as_ref().err());
    assert_eq!(view.as_ref().err(), ignored.as_ref().err());
    let (Ok(view), Ok(value)) = (view, value) else { return };
    // Not `assert_eq!`: NaN equals nothing.
    let shown = format!("{value:?}");
    assert_eq!(shown, format!("{view:?}"));
    assert_eq!(shown, format!("{:?}", value.clone()));
    walk(view);

    let (mut out, mut by_serde) = (Segments::new(), Segments::new());
    encode_value(&value, &mut out).unwrap();
    to_segments(&value, &mut by_serde).unwrap();
    let encoded = out.into_contiguous();
    assert_eq!(encoded, by_serde.into_contiguous());
    // Shorter only by repeated keys, which a dict holds once.
    assert!(encoded.len() <= payload.len());
    assert_eq!(shown, format!("{:?}", Value::decode(encoded).unwrap()));
});

/// Visits two levels lazily; every item must be found where the count says.
fn walk(view: ValueRef<'_>) {
    match view {
        ValueRef::List(list) => {
            assert_eq!(list.iter().count(), list.len());
            for item in list {
                assert!(item.as_list().is_none_or(|inner| inner.iter().count() == inner.len()));
            }
        }
        ValueRef::Dict(dict) => {
            assert_eq!(dict.iter().count(), dict.len());
            for (key, _) in dict.iter().take(10) {
                assert!(dict.get(key).is_some());
            }
        }
        _ => {}
    }
}
