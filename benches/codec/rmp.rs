//! MessagePack through rmp-serde (typed, owned and borrowed) and rmpv (values, owned and borrowed).

use anyhow::{Result, ensure};
use rmp_serde::Serializer;
use rmpv::Value;
use serde::Serialize;

use crate::request::{Borrowed, Owned, Request};
use crate::subject::Subject;

/// Row to compare with: what a user of rmp-serde would write.
pub(crate) const OWNED: &str = "rmp-serde owned";
/// Row to compare with: the best that rmp-serde can do.
pub(crate) const BORROWED: &str = "rmp-serde borrowed";

/// As a map by name, like our wire format.
pub(crate) fn named(request: &Request) -> Result<Vec<u8>> {
    Ok(rmp_serde::to_vec_named(&request.typed())?)
}

/// As an array by position, rmp-serde's default; both sides must have the same struct.
pub(crate) fn compact(request: &Request) -> Result<Vec<u8>> {
    Ok(rmp_serde::to_vec(&request.typed())?)
}

pub(crate) fn decoders<'a>(
    named: &'a [u8],
    compact: &'a [u8],
    request: &Request,
) -> Result<Vec<Subject<'a>>> {
    let owned: Owned = rmp_serde::from_slice(named)?;
    ensure!(owned.view() == request.view(), "rmp-serde decoded something else");
    let borrowed: Borrowed<'_> = rmp_serde::from_slice(named)?;
    ensure!(borrowed.view() == request.view(), "rmp-serde decoded something else, borrowed");
    let compact_borrowed: Borrowed<'_> = rmp_serde::from_slice(compact)?;
    ensure!(compact_borrowed.view() == request.view(), "rmp-serde decoded something else, compact");
    let value = rmpv::decode::read_value(&mut &named[..])?;
    let value_ref = rmpv::decode::read_value_ref(&mut &named[..])?;
    ensure!(value_ref.to_owned() == value, "rmpv's two decoders differ");
    let through_value: Owned = rmpv::ext::from_value(value)?;
    ensure!(through_value.view() == request.view(), "rmpv decoded something else");
    Ok(vec![
        Subject::new(OWNED, || rmp_serde::from_slice::<Owned>(named).expect(DECODED)),
        Subject::new(BORROWED, || rmp_serde::from_slice::<Borrowed<'_>>(named).expect(DECODED)),
        Subject::new("rmp-serde borrowed, compact", || {
            rmp_serde::from_slice::<Borrowed<'_>>(compact).expect(DECODED)
        }),
        Subject::new("rmpv Value", || rmpv::decode::read_value(&mut &named[..]).expect(DECODED)),
        Subject::new("rmpv ValueRef", || rmpv::decode::read_value_ref(&mut &named[..]).expect(DECODED)),
    ])
}

pub(crate) fn encoders(request: &Request) -> Result<Vec<Subject<'static>>> {
    let (typed, named) = (request.typed(), named(request)?);
    let value: Value = rmpv::decode::read_value(&mut &named[..])?;
    let (mut out, mut value_out) = (Vec::new(), Vec::new());
    Ok(vec![
        Subject::new(OWNED, move || {
            out.clear();
            typed.serialize(&mut Serializer::new(&mut out).with_struct_map()).expect("a Vec grows");
            out.len()
        }),
        Subject::new("rmpv Value", move || {
            value_out.clear();
            rmpv::encode::write_value(&mut value_out, &value).expect("a Vec grows");
            value_out.len()
        }),
    ])
}

const DECODED: &str = "decoded once before";
