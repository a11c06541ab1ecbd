//! Paths of services and routes (README §6.2).

use std::borrow::Cow;

use super::regular_expression;

/// An RFC 3986 path with sound percent escapes; its first `/` and empty segments are checked by the schema file.
pub(super) fn plain(text: &str) -> Result<(), String> {
    if !text.starts_with('/') || !text.bytes().all(is_path_byte) {
        let reason = "(characters outside of the reserved list of RFC 3986 found)";
        return Err(format!("invalid path: '{text}' {reason}"));
    }
    sound_escapes(text)
}

/// A route's path: a regular expression after `~`, or a plain path in its normal form.
pub(super) fn router(text: &str) -> Result<(), String> {
    if let Some(expression) = text.strip_prefix('~') {
        return regular_expression::pcre(expression)
            .map_err(|error| format!("invalid regex: '{expression}' (PCRE returned: {error})"));
    }
    if text.bytes().all(is_path_byte) {
        sound_escapes(text)?;
    }
    let normal = normal_form(text);
    if normal.as_ref() == text.as_bytes() {
        return Ok(());
    }
    Err(format!(
        "non-normalized path, consider use '{}' instead",
        String::from_utf8_lossy(&normal)
    ))
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_~/%:@!$&'()*+,;=".contains(&byte)
}

fn sound_escapes(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let escape = &rest[start..];
        if decoded(escape.as_bytes()).is_none() {
            let shown: String = escape.chars().take(3).collect();
            return Err(format!("invalid url-encoded value: '{shown}'"));
        }
        rest = &escape[3..];
    }
    Ok(())
}

/// The byte that `%XX` at the beginning of `bytes` stands for.
fn decoded(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Escapes decoded unless they hide a reserved character, dot segments removed, slashes merged.
fn normal_form(text: &str) -> Cow<'_, [u8]> {
    const RESERVED: &[u8] = b"!*'();:@&=+$,/?%#[]";
    let decoded_text = if text.contains('%') {
        let bytes = text.as_bytes();
        let mut normal = Vec::with_capacity(bytes.len());
        let mut index = 0;
        while index < bytes.len() {
            match decoded(&bytes[index..]) {
                Some(byte) if RESERVED.contains(&byte) => {
                    normal.extend(bytes[index..index + 3].to_ascii_uppercase());
                    index += 3;
                }
                Some(byte) => {
                    normal.push(byte);
                    index += 3;
                }
                None => {
                    normal.push(bytes[index]);
                    index += 1;
                }
            }
        }
        Cow::Owned(normal)
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    let dots = decoded_text.contains(&b'.') || decoded_text.windows(2).any(|pair| pair == b"//");
    if dots {
        Cow::Owned(without_dot_segments(&decoded_text))
    } else {
        decoded_text
    }
}

/// RFC 3986 §5.2.4 for an absolute path, merging slashes on the way.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|byte| *byte == b'/')
        .collect();
    let mut kept: Vec<&[u8]> = Vec::with_capacity(segments.len());
    for (index, segment) in segments.iter().enumerate() {
        let dropped = match *segment {
            b"" | b"." => true,
            b".." => {
                kept.pop();
                true
            }
            other => {
                kept.push(other);
                false
            }
        };
        if dropped && index + 1 == segments.len() {
            kept.push(b"");
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_path_characters_and_whole_escapes() {
        for good in ["/", "/a.b-c_d~e/%20:@!$&'()*+,;="] {
            assert_eq!(plain(good), Ok(()), "{good}");
        }
        for bad in ["/a b", "/é", "/a?b", "a"] {
            assert!(plain(bad).unwrap_err().starts_with("invalid path: '"), "{bad}");
        }
        assert_eq!(
            plain("/a%zz/b"),
            Err("invalid url-encoded value: '%zz'".to_owned())
        );
        assert_eq!(plain("/a%2"), Err("invalid url-encoded value: '%2'".to_owned()));
    }

    #[test]
    fn a_route_path_must_be_in_its_normal_form() {
        for (given, normal) in [
            ("/a%20b", "/a b"),
            ("/a%2f", "/a%2F"),
            ("/a/../b", "/b"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/%61", "/a"),
        ] {
            let expected = format!("non-normalized path, consider use '{normal}' instead");
            assert_eq!(router(given), Err(expected), "{given}");
            assert_eq!(router(normal), Ok(()), "{normal}");
        }
        for good in ["/", "/a.b", "/é%zz", "/a?b", "/...", "/a b/"] {
            assert_eq!(router(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_regular_expression_path_must_compile() {
        assert_eq!(router("~/a(?=b)"), Ok(()));
        assert!(
            router("~/a(b")
                .unwrap_err()
                .starts_with("invalid regex: '/a(b' (PCRE returned: ")
        );
    }
}
