//! `KEY=VALUE`: a variable of the service's environment.

/// Reads `KEY=VALUE`; the value may be empty, and hold more of the signs.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no ="))?;
    check(name.trim(), value)
}

/// Whether the environment can hold `value` under that `name`, see environ(7).
pub(super) fn check(name: &str, value: &str) -> Result<(String, String), String> {
    if name.is_empty() {
        return Err(format!("{:?} has no name", format!("={value}")));
    }
    if name.contains(['=', '\0']) || value.contains('\0') {
        return Err(format!("{name:?} cannot be set: no name holds =, nothing holds a zero byte"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_divides_name_and_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse("A=1"), pair("A", "1"));
        assert_eq!(parse("A="), pair("A", ""));
        assert_eq!(parse("A=b=c, d"), pair("A", "b=c, d"));
    }

    #[test]
    fn what_is_no_variable_is_shown() {
        assert_eq!(parse("A"), Err("\"A\" has no =".into()));
        assert_eq!(parse("=1"), Err("\"=1\" has no name".into()));
        assert!(parse("A=\0").is_err() && check("A=B", "1").is_err());
    }
}
