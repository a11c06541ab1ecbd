//! A form as the body of an entity, in either of its two media types.
#![no_main]

use api::http::read_form;
use bytes::Bytes;
use domain::Kind;
use libfuzzer_sys::fuzz_target;

const MEDIA_TYPES: [&str; 2] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let kinds: Vec<Kind> = Kind::all().collect();
    let kind = kinds[usize::from(choice >> 1) % kinds.len()];
    let media_type = MEDIA_TYPES[usize::from(choice & 1)];
    drop(read_form(kind, media_type, &Bytes::copy_from_slice(rest)));
});
