use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// What is done to an output, and to a plain vector beside it.
#[derive(Debug, Clone)]
enum Action {
    Slice(Vec<u8>),
    Bytes(usize),
    Append(Vec<usize>),
    Advance(prop::sample::Index),
    Take(prop::sample::Index),
    PutAndTruncate(Vec<usize>),
    Clear,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0..64_usize, LINK_FROM - 2..LINK_FROM + 2, Just(OWN_PART_FROM)]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..100).prop_map(Action::Slice),
        4 => size().prop_map(Action::Bytes),
        2 => prop::collection::vec(size(), 0..4).prop_map(Action::Append),
        3 => any::<prop::sample::Index>().prop_map(Action::Advance),
        2 => any::<prop::sample::Index>().prop_map(Action::Take),
        2 => prop::collection::vec(size(), 0..4).prop_map(Action::PutAndTruncate),
        1 => Just(Action::Clear),
    ]
}

fn bytes(len: usize) -> Bytes {
    static PATTERN: LazyLock<Bytes> =
        LazyLock::new(|| (0..OWN_PART_FROM).map(|at| u8::try_from(at % 251).unwrap()).collect());
    PATTERN.slice(..len)
}

fn copy(segments: &Segments) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(b""); 100];
    let used = segments.chunks_vectored(&mut slices);
    assert!(slices[..used].iter().all(|slice| !slice.is_empty()), "an empty slice stalls a writer");
    slices[..used].iter().flat_map(|slice| slice.to_vec()).collect()
}

proptest! {
    #[test]
    fn it_holds_what_a_vector_would(actions in prop::collection::vec(action(), 0..20)) {
        let (mut segments, mut model) = (Segments::new(), Vec::new());
        for action in actions {
            match action {
                Action::Slice(slice) => {
                    segments.put_slice(&slice);
                    model.extend(slice);
                }
                Action::Bytes(len) => {
                    segments.put_bytes(bytes(len));
                    model.extend(bytes(len));
                }
                Action::Append(lens) => {
                    let mut other = Segments::new();
                    for len in lens {
                        other.put_bytes(bytes(len));
                        model.extend(bytes(len));
                    }
                    segments.append(other);
                }
                Action::Advance(count) => {
                    let count = count.index(model.len() + 1);
                    segments.advance(count);
                    model.drain(..count);
                }
                Action::Take(count) => {
                    let count = count.index(model.len() + 1);
                    let taken = segments.copy_to_bytes(count);
                    prop_assert_eq!(taken, model.drain(..count).collect::<Vec<u8>>());
                }
                Action::PutAndTruncate(lens) => {
                    let mark = segments.mark();
                    for len in lens {
                        segments.put_bytes(bytes(len));
                        segments.put_slice(b"!");
                    }
                    segments.truncate(mark);
                }
                Action::Clear => {
                    segments.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(segments.len(), model.len());
            prop_assert_eq!(segments.is_empty(), model.is_empty());
            prop_assert_eq!(segments.chunk().is_empty(), model.is_empty());
            prop_assert_eq!(copy(&segments), &model[..]);
        }
        let parts: Vec<Bytes> = segments.into_iter().collect();
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
        prop_assert_eq!(parts.concat(), model);
    }
}

#[test]
fn large_bytes_are_linked_and_small_ones_gathered() {
    let large = bytes(LINK_FROM);
    let mut segments = Segments::new();
    segments.put_slice(b"head");
    segments.put_bytes(large.clone());
    segments.put_bytes(bytes(LINK_FROM - 1));
    segments.put_slice(b"tail");
    let parts: Vec<Bytes> = segments.into_iter().collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[1].as_ptr(), large.as_ptr());
}

#[test]
fn a_patch_reaches_into_what_was_sealed() {
    let mut segments = Segments::new();
    segments.put_slice(b"before ");
    let mark = segments.mark();
    segments.put_slice(b"????");
    segments.put_bytes(bytes(LINK_FROM));
    segments.put_slice(b"after");
    segments.patch(mark, b"good");
    assert!(copy(&segments).starts_with(b"before good\0\x01"));
    assert_eq!(segments.len_since(mark), 4 + LINK_FROM + 5);
}

#[test]
fn memory_is_kept_from_message_to_message() {
    let mut segments = Segments::with_capacity(1024);
    let start = segments.chunk().as_ptr();
    for _ in 0..100 {
        segments.put_slice(&[7; 500]);
        segments.advance(500);
    }
    segments.put_slice(b"x");
    assert_eq!(segments.chunk().as_ptr(), start);
}

#[test]
#[should_panic(expected = "cannot advance by 2 bytes with 1 left")]
fn advancing_past_the_end_panics() {
    let mut segments = Segments::new();
    segments.put_slice(b"x");
    segments.advance(2);
}
