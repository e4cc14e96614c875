//! Sizes of memory, as people write them.

/// A number of bytes, or one with a unit behind it: `1.5G` are 1.5 × 1024³ bytes.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|end: char| !end.is_ascii_digit());
    let factor = match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1_u64 << 40,
        unit => return Err(format!("{unit:?} is no unit of memory")),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return Err("not a number".into());
    }
    if decimals.len() > MAX_DECIMALS {
        return Err(format!("more than {MAX_DECIMALS} decimals"));
    }
    let too_large = || "more than any machine has".to_owned();
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    // Whole numbers throughout: a float would lose bytes.
    let (mut part, mut scale) = (0, 1);
    for digit in decimals.bytes() {
        part = part * 10 + u64::from(digit - b'0');
        scale *= 10;
    }
    whole.checked_mul(factor).and_then(|bytes| bytes.checked_add(part * factor / scale)).ok_or_else(too_large)
}

/// How a size is written, for error messages.
pub(super) const SIZE_FORMS: &str = "bytes, or a number with K, M, G or T";

/// Finer than a byte of any unit that people mean; no product with a unit overflows.
const MAX_DECIMALS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512M", 512 << 20),
            (" 2 GiB ", 2 << 30),
            ("1.5G", 3 << 29),
            ("10kb", 10 << 10),
            ("0.5k", 512),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "not a number"),
            ("M", "not a number"),
            ("-1", "not a number"),
            ("1e9", "not a number"),
            ("1.2.3", "not a number"),
            (".5G", "not a number"),
            ("5 apples", "\"APPLES\" is no unit of memory"),
            ("20000000T", "more than any machine has"),
            ("99999999999999999999", "more than any machine has"),
            ("1.1234567G", "more than 6 decimals"),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text:?}");
        }
    }
}
