//! The program `runtime-manager`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A configuration is many small texts and maps: with the C library's allocator, half the time of applying a large file went into it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    api::cli::run()
}
