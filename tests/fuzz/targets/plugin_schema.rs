//! The text of an uploaded `schema.lua`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    drop(domain::schema::read_plugin_schema(text));
});
