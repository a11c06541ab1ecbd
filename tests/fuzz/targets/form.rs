//! A form as the body of an entity, in either of its two media types.
//!
//! The same fields make the same entity in both.
#![no_main]

use api::http::read_form;
use bytes::Bytes;
use domain::Kind;
use libfuzzer_sys::fuzz_target;

const ENCODED: &str = "application/x-www-form-urlencoded";
const IN_PARTS: &str = "multipart/form-data; boundary=b";

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let kinds: Vec<Kind> = Kind::all().collect();
    let kind = kinds[usize::from(choice >> 1) % kinds.len()];
    if choice & 1 == 1 {
        drop(read_form(kind, IN_PARTS, &Bytes::copy_from_slice(rest)));
        return;
    }
    let fields: Vec<_> = rest.split(|byte| *byte == b'&').filter_map(field).collect();
    drop(read_form(kind, ENCODED, &Bytes::copy_from_slice(rest)));
    let encoded = read_form(kind, ENCODED, &encoded(&fields));
    let in_parts = read_form(kind, IN_PARTS, &in_parts(&fields));
    assert_eq!(encoded, in_parts, "both media types say the same");
});

/// A name and a text without what means something to one of the two.
fn field(pair: &[u8]) -> Option<(String, String)> {
    let (name, text) = std::str::from_utf8(pair).ok()?.split_once('=')?;
    let plain = |text: &str| {
        text.replace(
            |letter: char| "\"\\;\r\n-".contains(letter) || letter.is_control(),
            "",
        )
    };
    let name = plain(name).trim().to_owned();
    (!name.is_empty()).then(|| (name, plain(text)))
}

fn encoded(fields: &[(String, String)]) -> Bytes {
    let letters = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    let pairs = fields
        .iter()
        .map(|(name, text)| format!("{}={}", letters(name), letters(text)));
    pairs.collect::<Vec<_>>().join("&").into()
}

fn in_parts(fields: &[(String, String)]) -> Bytes {
    let part = |(name, text): &(String, String)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    (fields.iter().map(part).collect::<String>() + "--b--\r\n").into()
}
