//! `runtime-manager serve` on a machine whose clock tests set: the whole program, composed with another machine's time. The file
//! that `MACHINE` names is read whenever somebody asks for the time ([`tests::settable_machine`]).

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use api::compose::control_plane;
use api::config::{ServeFlags, Settings};
use api::telemetry;
use clap::Parser;
use domain::Secret;
use tests::settable_machine::{MACHINE, SettableMachine};

#[derive(Parser)]
struct CommandLine {
    /// `serve`, as `runtime-manager` is told.
    #[arg(value_parser = ["serve"])]
    command: String,
    #[command(flatten)]
    serve: ServeFlags,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let file = std::env::var_os(MACHINE).context("MACHINE names the file that says what time it is")?;
    let CommandLine { command: _, serve } = CommandLine::parse();
    let settings = Settings::from_flags(serve)?;
    telemetry::install(settings.log_format);
    // Tests find the token in its file.
    let announce = |_: &Secret| {};
    control_plane::serve(settings, announce, Arc::new(SettableMachine::at(file.into()))).await
}
