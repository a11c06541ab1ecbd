//! `multipart/form-data` bodies (RFC 7578): the texts of their fields, a file's content included.

use super::body::{self, MOST_VALUES};
use super::refusal::Refusal;

/// The longest boundary, in bytes (RFC 2046): where a part ends costs no more than that for each byte of the body.
const LONGEST_BOUNDARY: usize = 70;

/// Names and texts in the order in which they stand in the body.
pub(crate) fn fields(content_type: &str, whole: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let boundary = parameter(content_type, "boundary")
        .filter(|boundary| !boundary.is_empty())
        .ok_or_else(|| refused("its Content-Type names no boundary"))?;
    if boundary.len() > LONGEST_BOUNDARY {
        return Err(refused(&format!(
            "its boundary has more than {LONGEST_BOUNDARY} bytes"
        )));
    }
    let opening = format!("--{boundary}");
    let start = find(whole, opening.as_bytes()).ok_or_else(|| refused("its boundary doesn't occur"))?;
    let mut rest = &whole[start + opening.len()..];
    let between = format!("\r\n{opening}");
    let mut fields = Vec::new();
    while !rest.starts_with(b"--") {
        if fields.len() == MOST_VALUES {
            return Err(body::too_many_values(MOST_VALUES));
        }
        let line = find(rest, b"\r\n").ok_or_else(unfinished)?;
        // The line's end may be that of an empty part's headers too, so it stays.
        rest = &rest[line..];
        let end = find(&rest[2..], between.as_bytes()).ok_or_else(unfinished)? + 2;
        fields.push(field(&rest[2..end])?);
        rest = &rest[end + between.len()..];
    }
    Ok(fields)
}

fn field(part: &[u8]) -> Result<(String, String), Refusal> {
    let blank = find(part, b"\r\n\r\n").ok_or_else(|| refused("a part has no headers"))?;
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| refused("a part isn't text in UTF-8"));
        text.map(str::to_owned)
    };
    let headers = text(&part[..blank])?;
    let disposition = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    });
    let name = disposition.and_then(|disposition| parameter(disposition, "name"));
    let name = name.ok_or_else(|| refused("a part has no name"))?;
    Ok((name, text(&part[blank + 4..])?))
}

/// A parameter of a header's value, without quotes.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        name.trim()
            .eq_ignore_ascii_case(wanted)
            .then(|| unquoted.unwrap_or(value).to_owned())
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn unfinished() -> Refusal {
    refused("it ends before its last boundary")
}

fn refused(why: &str) -> Refusal {
    Refusal::bad_request(format!("Cannot parse the multipart/form-data body: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x y\"";

    #[test]
    fn fields_and_files_are_read_in_order() {
        let body = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n\
            --x y\r\ncontent-disposition: form-data; name=b; filename=\"f\"\r\nContent-Type: text/plain\r\n\r\n\
            two\r\nlines\r\n--x y\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\n\r\n--x y--\r\n";
        let expected = [("a", "one"), ("b", "two\r\nlines"), ("c", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(TYPE, body.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_form_is_refused_in_words() {
        let long = format!("multipart/form-data; boundary={}", "-".repeat(71));
        for (content_type, body, why) in [
            ("multipart/form-data", "", "its Content-Type names no boundary"),
            (&long, "", "its boundary has more than 70 bytes"),
            (TYPE, "a=b", "its boundary doesn't occur"),
            (TYPE, "--x y\r\n", "it ends before its last boundary"),
            (TYPE, "--x y\r\n\r\n--x y--", "a part has no headers"),
            (TYPE, "--x y\r\nA: b\r\n\r\n1\r\n--x y--", "a part has no name"),
        ] {
            let refusal = fields(content_type, body.as_bytes()).unwrap_err();
            assert!(refusal.message.ends_with(why), "{}", refusal.message);
        }
    }
}
