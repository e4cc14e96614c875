//! The file mode creation mask, which people write in octal.

use std::fmt;

/// Permissions that new files do not have, see umask(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Umask(pub(super) u32);

impl Umask {
    /// Reads octal text: `022` or `0o22`. `22` is decimal to gunicorn and octal to people, and therefore refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let digits = match text {
            "0" => text,
            _ => text
                .strip_prefix("0o")
                .or_else(|| text.strip_prefix('0'))
                .ok_or("octal numbers begin with 0 or 0o")?,
        };
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err("not an octal number".into());
        }
        i64::from_str_radix(digits, 8).map_err(|_| "not an octal number".into()).and_then(Self::from_bits)
    }

    /// The mask with these bits.
    pub(super) fn from_bits(bits: i64) -> Result<Self, String> {
        match u32::try_from(bits) {
            Ok(bits @ 0..=0o777) => Ok(Self(bits)),
            _ => Err("not from 0 to 0o777".into()),
        }
    }
}

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "0{:o}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_octal_and_must_look_like_it() {
        for (text, bits) in
            [("0", 0), ("00", 0), ("022", 0o22), ("0022", 0o22), ("0o77", 0o77), ("0777", 0o777)]
        {
            assert_eq!(Umask::parse(text), Ok(Umask(bits)), "{text:?}");
            assert_eq!(Umask::parse(&Umask(bits).to_string()), Ok(Umask(bits)), "{text:?}");
        }
        for bad in ["22", "0x12", "08", "01000", "-022", "0-22", "0o", "0+22", "", "mask"] {
            assert!(Umask::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_masks_up_to_nine_bits() {
        assert_eq!(Umask::from_bits(0o777), Ok(Umask(0o777)));
        assert!(Umask::from_bits(0o1000).is_err() && Umask::from_bits(-1).is_err());
    }
}
