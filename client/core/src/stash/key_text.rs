//! Bytes as Python shows them.

use std::fmt::{self, Write};

/// Writes `bytes` as Python's `repr` does: `b'a\x00'`.
pub(super) fn write_bytes_repr(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    write!(out, "b{}", char::from(quote))?;
    for &byte in bytes {
        match byte {
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            _ if byte == quote => write!(out, "\\{}", char::from(byte))?,
            0x20..0x7f => out.write_char(char::from(byte))?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    out.write_char(char::from(quote))
}
