//! Names, tags and tokens (README §6.2). JSON text is valid UTF-8 already, so only characters are checked.

/// No control characters, `,` or `/`.
pub(super) fn tag(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| !byte.is_ascii_control() && byte != b',' && byte != b'/';
    if text.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    ))
}

/// Of ASCII only letters, digits and `. - _ ~`.
pub(super) fn utf8(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| {
        !byte.is_ascii() || byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~')
    };
    if text.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
    ))
}

/// Letters, digits, `-` and `_`; one newline at the end slips through Kong's pattern.
pub(super) fn header(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("no header name provided".to_owned());
    }
    let name = text.strip_suffix('\n').unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    ))
}

/// A token of RFC 2616.
pub(super) fn http_token(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("no token provided".to_owned());
    }
    let separator = |byte: u8| br#" ()<>@,;:\"/?={}[]"#.contains(&byte);
    if text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_control() && !separator(byte))
    {
        return Ok(());
    }
    Err(
        "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the \
         characters ()<>@,;:\\\"/?={}[] are not allowed."
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_printable_without_commas_and_slashes() {
        for good in ["a b", "é", "x:y"] {
            assert_eq!(tag(good), Ok(()), "{good}");
        }
        for bad in ["a,b", "a/b", "a\tb", "\u{7f}"] {
            assert!(tag(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_plain_in_ascii_and_free_beyond() {
        assert_eq!(utf8("café.v1-2_3~"), Ok(()));
        assert!(utf8("a b").unwrap_err().starts_with("invalid value 'a b'"));
    }

    #[test]
    fn header_names_are_letters_digits_hyphens_and_underscores() {
        assert_eq!(header("X-a_1"), Ok(()));
        assert_eq!(header("x\n"), Ok(()));
        for bad in ["", "x y", "x:", "\n", "é"] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cookie_names_are_tokens() {
        assert_eq!(http_token("a!b"), Ok(()));
        for bad in ["", "a b", "a=b", "a\u{80}", "a\"", "a\tb"] {
            assert!(http_token(bad).is_err(), "{bad:?}");
        }
    }
}
