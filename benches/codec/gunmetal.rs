//! Our codec: borrowed values, owned values, and serde without a tree in between.

use anyhow::{Result, ensure};
use bytes::{Buf, Bytes};
use gunmetal_protocol::{
    Segments, Value, ValueRef, encode_value, from_bytes, from_slice, to_segments, value,
};

use crate::request::{Borrowed, Owned, Request, RequestView};
use crate::subject::Subject;

/// The row that copies because the type asks for it: `serde_bytes::ByteBuf`.
pub(crate) const OWNED: &str = "gunmetal serde owned";
/// The row with a target.
pub(crate) const BORROWED: &str = "gunmetal ValueRef";

pub(crate) fn encoded(request: &Request) -> Result<Bytes> {
    let mut out = Segments::new();
    encode_value(&owned(request), &mut out)?;
    Ok(out.into_contiguous())
}

pub(crate) fn decoders<'a>(encoded: &'a Bytes, request: &Request) -> Result<Vec<Subject<'a>>> {
    let value_ref = ValueRef::decode(encoded)?;
    ensure!(view(value_ref) == Some(request.view()), "ValueRef decoded something else");
    ensure!(
        from_slice::<Borrowed<'_>>(encoded)?.view() == request.view(),
        "serde decoded something else, borrowed"
    );
    ensure!(from_bytes::<Owned>(encoded.clone())?.view() == request.view(), "serde decoded something else");
    ensure!(Value::decode(encoded.clone())? == owned(request), "Value decoded something else");
    Ok(vec![
        Subject::new(BORROWED, || ValueRef::decode(encoded).expect(DECODED)),
        Subject::new("gunmetal ValueRef, every field read", || {
            view(ValueRef::decode(encoded).expect(DECODED)).expect(DECODED)
        }),
        Subject::new("gunmetal serde borrowed", || from_slice::<Borrowed<'_>>(encoded).expect(DECODED)),
        Subject::new("gunmetal Value", || Value::decode(encoded.clone()).expect(DECODED)),
        Subject::new(OWNED, || from_bytes::<Owned>(encoded.clone()).expect(DECODED)),
    ])
}

pub(crate) fn encoders(request: &Request) -> Result<Vec<Subject<'static>>> {
    let (value, typed) = (owned(request), request.typed());
    let (mut out, mut typed_out) = (Segments::new(), Segments::new());
    Ok(vec![
        Subject::new("gunmetal Value", move || {
            out.clear();
            encode_value(&value, &mut out).expect(ENCODED);
            out.remaining()
        }),
        Subject::new(OWNED, move || {
            typed_out.clear();
            to_segments(&typed, &mut typed_out).expect(ENCODED);
            typed_out.remaining()
        }),
    ])
}

const ENCODED: &str = "encoded once before";
const DECODED: &str = "decoded once before";

fn owned(request: &Request) -> Value {
    let Request { app_path, action, image, format, quality, size, name } = request.clone();
    let image = Bytes::from(image);
    value!({
        "app_path": app_path,
        "action": action,
        "args": [image, format, quality],
        "kwargs": {"size": size, "name": name},
    })
}

fn view(value: ValueRef<'_>) -> Option<RequestView<'_>> {
    let (mut app_path, mut action, mut args, mut kwargs) = (None, None, None, None);
    for (key, value) in value.as_dict()?.iter() {
        match key {
            "app_path" => app_path = value.as_str(),
            "action" => action = value.as_str(),
            "args" => args = value.as_list(),
            "kwargs" => kwargs = value.as_dict(),
            _ => {}
        }
    }
    let (mut args, kwargs) = (args?.iter(), kwargs?);
    Some(RequestView {
        app_path: app_path?,
        action: action?,
        image: args.next()?.as_bytes()?,
        format: args.next()?.as_str()?,
        quality: args.next()?.as_int()?,
        size: kwargs.get("size")?.as_int()?,
        name: kwargs.get("name")?.as_str()?,
    })
}
