//! The program `runtime-manager`.

use std::process::ExitCode;

fn main() -> ExitCode {
    api::cli::run()
}
