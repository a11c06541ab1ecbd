//! A declarative file, once it is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(document) = serde_json::from_slice(bytes) {
        drop(domain::declarative::parse(&document));
    }
});
