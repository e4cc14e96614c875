//! Any value, for property tests.

use proptest::prelude::*;

use super::{Dict, List, Value};

/// Values of every kind, nested a few levels.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        // NaN equals nothing, so it has tests of its own.
        prop::num::f64::ANY.prop_filter("NaN", |float| !float.is_nan()).prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
        (4090..4100_usize).prop_map(|len| Value::Bytes(vec![7; len].into())),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|items| Value::List(List::from(items))),
            prop::collection::vec(("\\PC{0,8}", inner), 0..8)
                .prop_map(|pairs| Value::Dict(pairs.into_iter().collect::<Dict>())),
        ]
    })
}

/// Lists and dicts in turn, `depth` of them around a none.
pub(crate) fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::None, |inner, level| {
        if level % 2 == 0 {
            Value::List(List::from(vec![inner, Value::Int(1)]))
        } else {
            Value::Dict(Dict::from_iter([("k", inner), ("l", Value::Int(2))]))
        }
    })
}
