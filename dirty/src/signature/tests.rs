//! Binding: its rules one by one, and against a model that follows Python's word for word.

use std::collections::BTreeMap;

use gunmetal_protocol::{Bytes, Dict, Segments, Value, encode_value};
use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Arguments as bytes; values are numbers that tell them apart.
fn encoded(args: &[i64], kwargs: &[(String, i64)]) -> (Bytes, Bytes) {
    let encode = |value: Value| {
        let mut out = Segments::new();
        encode_value(&value, &mut out).unwrap();
        out.into_contiguous()
    };
    let dict: Dict = kwargs.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    (encode(args.iter().copied().map(Value::Int).collect::<Vec<_>>().into()), encode(Value::Dict(dict)))
}

/// Where each argument went: slots, rest of the positional ones, rest of the keywords.
type Outcome = Result<(Vec<Option<i64>>, Vec<i64>, BTreeMap<String, i64>), BindError>;

fn bind(signature: &Signature<4>, args: &[i64], kwargs: &[(String, i64)]) -> Outcome {
    let (args, kwargs) = encoded(args, kwargs);
    let args = ValueRef::decode(&args).unwrap().as_list().unwrap();
    let kwargs = ValueRef::decode(&kwargs).unwrap().as_dict().unwrap();
    let int = |value: ValueRef<'_>| value.as_int().unwrap();
    signature.bind(args, kwargs).map(|bound| {
        let slots = (0..4).map(|index| bound.value(index).map(int)).collect();
        let rest_kwargs = bound.rest_kwargs().map(|(key, value)| (key.to_owned(), int(value)));
        (slots, bound.rest_args().map(int).collect(), rest_kwargs.collect())
    })
}

/// Python's reference, "Calls": slots are filled by position, then by keyword, then from defaults.
fn model(signature: &Signature<4>, args: &[i64], kwargs: &BTreeMap<String, i64>) -> Result<Outcome, ()> {
    let by_position: Vec<usize> = (0..4).filter(|at| !signature.params[*at].is_keyword_only).collect();
    let mut slots = vec![None; 4];
    let mut rest = Vec::new();
    for (at, value) in args.iter().enumerate() {
        match by_position.get(at) {
            Some(slot) => slots[*slot] = Some(*value),
            None if signature.rest_args => rest.push(*value),
            None => return Err(()),
        }
    }
    let mut more = BTreeMap::new();
    for (key, value) in kwargs {
        match NAMES.iter().position(|name| name == key) {
            Some(slot) if slots[slot].is_some() => return Err(()),
            Some(slot) => slots[slot] = Some(*value),
            None if signature.rest_kwargs => drop(more.insert(key.clone(), *value)),
            None => return Err(()),
        }
    }
    let is_missing = |at: usize| signature.params[at].is_required && slots[at].is_none();
    if (0..4).any(is_missing) { Err(()) } else { Ok(Ok((slots, rest, more))) }
}

fn any_signature() -> impl Strategy<Value = Signature<4>> {
    (any::<[bool; 4]>(), 0..=4usize, any::<bool>(), any::<bool>()).prop_map(
        |(required, positional, rest_args, rest_kwargs)| {
            let param = |at: usize| Param {
                name: NAMES[at],
                is_required: required[at],
                is_keyword_only: at >= positional,
            };
            Signature {
                action: "f",
                params: [param(0), param(1), param(2), param(3)],
                rest_args,
                rest_kwargs,
            }
        },
    )
}

proptest! {
    #[test]
    fn binding_agrees_with_python(
        signature in any_signature(),
        args in proptest::collection::vec(0..100i64, 0..6),
        kwargs in proptest::collection::btree_map("[a-f]", 100..200i64, 0..5),
    ) {
        let pairs: Vec<_> = kwargs.clone().into_iter().collect();
        let bound = bind(&signature, &args, &pairs);
        match model(&signature, &args, &kwargs) {
            Ok(expected) => prop_assert_eq!(bound, expected),
            Err(()) => prop_assert!(bound.is_err(), "{:?}", bound),
        }
    }
}

const F: Signature<4> = Signature::new(
    "f",
    [
        Param::required("a"),
        Param::optional("b"),
        Param::required("c").keyword_only(),
        Param::optional("d").keyword_only(),
    ],
);

fn error(args: &[i64], kwargs: &[(&str, i64)]) -> String {
    let kwargs: Vec<_> = kwargs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    bind(&F, args, &kwargs).unwrap_err().to_string()
}

#[test]
fn errors_come_in_pythons_order() {
    assert_eq!(error(&[], &[]), "f() missing required arguments: 'a', 'c'");
    assert_eq!(error(&[1], &[]), "f() missing required argument: 'c'");
    assert_eq!(error(&[1, 2, 3], &[]), "f() takes at most 2 positional arguments (3 given)");
    assert_eq!(error(&[1, 2, 3], &[("a", 4)]), "f() got multiple values for argument 'a'");
    assert_eq!(
        error(&[1, 2, 3], &[("x", 4)]),
        "f() got an unexpected keyword argument 'x'; allowed: a, b, c, d"
    );
}

#[test]
fn a_repeated_keyword_counts_once_and_the_last_wins() {
    let (args, _) = encoded(&[1], &[]);
    // {"c": 2, "c": 3}, which no encoder of ours writes.
    let mut kwargs = vec![0x21, 0, 0, 0, 2];
    for value in [2, 3] {
        kwargs.extend([0x11, 0, 0, 0, 1, b'c', 0x05, 0, 0, 0, 0, 0, 0, 0, value]);
    }
    let args = ValueRef::decode(&args).unwrap().as_list().unwrap();
    let kwargs = ValueRef::decode(&kwargs).unwrap().as_dict().unwrap();
    let bound = F.bind(args, kwargs).unwrap();
    assert_eq!(bound.required(2).unwrap().as_int(), Some(3));
}
