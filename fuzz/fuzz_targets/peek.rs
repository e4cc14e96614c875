//! A payload that arrives bit by bit: a look into its beginning never contradicts the whole.
#![no_main]

use gunmetal_protocol::{PeekOutcome, RequestRef, StashRef, ValueRef, peek_op, peek_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, payload) = input;
    let prefix = &payload[..payload.len().min(cut.into())];
    let (early, late) = (peek_request(prefix), peek_request(payload));
    match early {
        Ok(PeekOutcome::NeedMore) => {}
        Ok(PeekOutcome::Found(early)) => {
            let Ok(PeekOutcome::Found(late)) = late else { panic!("found and lost") };
            assert_eq!(early.app_path, late.app_path);
            assert!(early.action.is_none() || early.action == late.action);
        }
        Ok(PeekOutcome::NotFound) | Err(_) => assert_eq!(early, late),
    }
    let early_op = peek_op(prefix);
    if !matches!(early_op, Ok(PeekOutcome::NeedMore | PeekOutcome::Found(_))) {
        assert_eq!(early_op, peek_op(payload));
    }

    // A whole and sound message is always found, unless a key is repeated.
    let Ok(ValueRef::Dict(dict)) = ValueRef::decode(payload) else { return };
    let once = |name: &str| dict.iter().filter(|(key, _)| *key == name).count() == 1;
    if let Ok(request) = RequestRef::decode(payload)
        && once("app_path")
    {
        let Ok(PeekOutcome::Found(found)) = late else { panic!("{request:?} was not found") };
        assert_eq!(found.app_path, request.app_path);
        assert!(!once("action") || found.action.is_none_or(|action| action == request.action));
    }
    if let Ok(stash) = StashRef::decode(payload)
        && once("op")
    {
        let Ok(PeekOutcome::Found(found)) = peek_op(payload) else { panic!("{stash:?} was not found") };
        assert_eq!(found.op, stash.op as i64);
    }
});
