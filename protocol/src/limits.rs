//! What a peer may send at most.

/// Longest payload of a frame, in bytes: gunicorn's `MAX_MESSAGE_SIZE`.
pub const MAX_PAYLOAD_LEN: u32 = 64 << 20;

/// Longest string or bytes value, in bytes: gunicorn's `MAX_STRING_SIZE` and `MAX_BYTES_SIZE`.
pub const MAX_DATA_LEN: u32 = 64 << 20;

/// Most items in a list and most pairs in a dict: gunicorn's `MAX_LIST_SIZE` and `MAX_DICT_SIZE`.
pub const MAX_ITEM_COUNT: u32 = 1 << 20;

/// How deep lists and dicts may nest; a list without lists or dicts in it has depth 1.
///
/// gunicorn's recursive decoder gives up at about this depth. Ours works without recursion, so a
/// thread with a small stack survives it too.
pub const MAX_DEPTH: usize = 1_000;

/// How deep lists and dicts may nest where they are decoded into a caller's own type by serde.
///
/// Such decoding recurses through the type's `Deserialize`, so each level costs stack that this crate
/// does not control: for an enum of structs of lists about 600 bytes in a release build and 4 KiB in a
/// debug build. 128 levels thus take less than 100 KiB, or 512 KiB, of the 2 MiB that a thread has by
/// default, and are what `serde_json` allows.
/// [`Value`](crate::Value) is decoded without recursion and may nest up to [`MAX_DEPTH`], also where
/// it is a field of such a type.
pub const MAX_TYPED_DEPTH: usize = 128;
