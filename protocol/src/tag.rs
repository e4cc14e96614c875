//! The type tags of the TLV encoding.

pub(crate) const NONE: u8 = 0x00;
pub(crate) const BOOL: u8 = 0x01;
pub(crate) const INT: u8 = 0x05;
pub(crate) const FLOAT: u8 = 0x06;
pub(crate) const BYTES: u8 = 0x10;
pub(crate) const STRING: u8 = 0x11;
pub(crate) const LIST: u8 = 0x20;
pub(crate) const DICT: u8 = 0x21;

/// What a value with this tag is called in errors; "value" for a byte that is no tag.
pub(crate) fn kind(tag: u8) -> &'static str {
    match tag {
        NONE => "none",
        BOOL => "bool",
        INT => "int",
        FLOAT => "float",
        BYTES => "bytes",
        STRING => "string",
        LIST => "list",
        DICT => "dict",
        _ => "value",
    }
}
