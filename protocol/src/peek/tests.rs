use super::*;
use crate::{
    Args, HEADER_LEN, ManageOp, Segments, StashOp, args, encode_manage, encode_request, encode_stash,
};

fn payload(encode: impl FnOnce(&mut Segments)) -> Vec<u8> {
    let mut out = Segments::new();
    encode(&mut out);
    out.into_contiguous()[HEADER_LEN..].to_vec()
}

fn request(args: &Args) -> Vec<u8> {
    payload(|out| encode_request(1, "images:ImageApp", "thumbnail", args, out).unwrap())
}

#[test]
fn the_path_is_found_as_soon_as_it_is_there() {
    let payload = request(&args!["cat.png"; size = 256]);
    let path_end = 5 + 5 + "app_path".len() + 5 + "images:ImageApp".len();
    let action_end = path_end + 5 + "action".len() + 5 + "thumbnail".len();
    for cut in 0..=payload.len() {
        let action = (cut >= action_end).then_some("thumbnail");
        let expected = if cut < path_end {
            PeekOutcome::NeedMore
        } else {
            PeekOutcome::Found(Peek { app_path: "images:ImageApp", action })
        };
        assert_eq!(peek_request(&payload[..cut]), Ok(expected), "with {cut} bytes");
    }
}

#[test]
fn nothing_behind_the_path_is_read() {
    let mut payload = request(&args![]);
    let end = payload.len();
    payload[end - 30..].fill(0xee);
    assert!(matches!(peek_request(&payload), Ok(PeekOutcome::Found(_))));
}

#[test]
fn the_path_is_found_in_another_place_too() {
    // {"kwargs": {"a": [None]}, "app_path": "a:B"}
    let payload = b"\x21\0\0\0\x02\x11\0\0\0\x06kwargs\x21\0\0\0\x01\x11\0\0\0\x01a\x20\0\0\0\x01\0\
        \x11\0\0\0\x08app_path\x11\0\0\0\x03a:B";
    assert_eq!(peek_request(payload), Ok(PeekOutcome::Found(Peek { app_path: "a:B", action: None })));
    for cut in 0..payload.len() {
        assert_eq!(peek_request(&payload[..cut]), Ok(PeekOutcome::NeedMore), "with {cut} bytes");
    }
}

#[test]
fn what_is_no_request_is_said() {
    assert_eq!(peek_request(b"\x21\0\0\0\0"), Ok(PeekOutcome::NotFound));
    assert_eq!(peek_request(b"\x21\0\0\0\x01\x11\0\0\0\x01x\0"), Ok(PeekOutcome::NotFound));
    for (payload, text) in [
        (&b"\x20\0\0\0\0"[..], "REQUEST payload: found list, expected dict"),
        (
            b"\x21\0\0\0\x01\x11\0\0\0\x08app_path\0",
            "\"app_path\" of the REQUEST payload: found none, expected string",
        ),
        (b"\x21\0\0\0\x01\0\0\0\0\0\0\0", "dict key at payload byte 5: found none, expected string"),
    ] {
        assert_eq!(peek_request(payload).unwrap_err().to_string(), text);
    }
}

#[test]
fn operations_are_found_with_their_table() {
    let stash = payload(|out| encode_stash(1, StashOp::Keys, "cache", None, None, Some("*"), out).unwrap());
    let found = PeekOp { op: StashOp::Keys as i64, table: Some("cache") };
    assert_eq!(peek_op(&stash), Ok(PeekOutcome::Found(found)));
    let manage = payload(|out| encode_manage(1, ManageOp::Remove, 2, out).unwrap());
    assert_eq!(peek_op(&manage), Ok(PeekOutcome::Found(PeekOp { op: 2, table: None })));
    assert_eq!(
        peek_op(b"\x21\0\0\0\x01\x11\0\0\0\x02op\0").unwrap_err().to_string(),
        "\"op\" of the STASH or MANAGE payload: found none, expected int"
    );
}
