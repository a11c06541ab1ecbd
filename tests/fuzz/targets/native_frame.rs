//! A message of the native protocol, read by each side.
#![no_main]

use dataplane_sync::native::frames::{decode_instance, decode_server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(decode_instance(bytes));
    drop(decode_server(bytes));
});
