//! The command line: one file per command, each a struct of its flags and a `run`.
//!
//! - [`client`], [`refusal`]: the way to the server and back; [`output`], [`table`]: results for people and for programs.
//! - [`pending_change`]: changes whose outcome isn't known yet.
//! - [`undoing`]: what `rollback`, `revert` and `restore` share.
//! - [`declarative_files`], [`environment`]: what `apply` reads.
//! - [`outlook`]: what a dry run says of instances.
//! - [`private_file`]: files with secrets.
//! - [`terminal`]: the one place that prints; [`confirmation`], [`progress`]: what only a terminal has.

pub mod agent;
pub mod apply;
pub mod backup;
pub mod change_filters;
pub mod change_report;
pub mod client;
pub mod confirmation;
pub mod declarative_files;
pub mod diff;
pub mod difference;
pub mod doctor;
pub mod dump;
pub mod ending;
pub mod environment;
pub mod erase;
pub mod event_stream;
pub mod group;
pub mod history;
pub mod history_export;
pub mod indented_json;
pub mod labels;
pub mod log;
pub mod node;
pub mod node_add;
pub mod node_certificate;
pub mod openapi;
pub mod outlook;
pub mod output;
pub mod pending_change;
pub mod possession_proof;
pub mod private_file;
pub mod progress;
pub mod rebuild;
pub mod refusal;
pub mod replay;
pub mod restore;
pub mod revert;
pub mod rollback;
pub mod serve;
pub mod show;
pub mod table;
pub mod terminal;
pub mod token;
pub mod undoing;
pub mod wait;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::error::ErrorKind as UsageError;
use clap::{Parser, Subcommand};
use commands::sandbox;

use self::client::Interrupted;
use self::ending::Ending;
use self::terminal::Style;

/// The exit code of a command line that can't be understood (`EX_USAGE`); 2 says "changed".
const USAGE: u8 = 64;
/// The exit code of a command that was interrupted (Ctrl-C), as shells have it.
const INTERRUPTED: u8 = 130;

/// A self-hosted control plane for fleets of API gateways
///
/// Without a command, `serve` runs. Exit codes: 0 done, 1 refused or failed, 2 changed something (`apply`), 64 the command line
/// can't be understood, 130 interrupted.
#[derive(Parser, Debug)]
#[command(name = "runtime-manager", version, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Serve(serve::Serve),
    Apply(apply::Apply),
    Dump(dump::Dump),
    Diff(diff::Diff),
    History(history::History),
    Show(show::Show),
    Rollback(rollback::Rollback),
    Revert(revert::Revert),
    Restore(restore::Restore),
    #[command(subcommand)]
    Erase(erase::Erase),
    #[command(subcommand)]
    Group(group::Group),
    #[command(subcommand)]
    Node(node::Node),
    #[command(subcommand)]
    Token(token::Token),
    Wait(wait::Wait),
    Agent(agent::Agent),
    Doctor(doctor::Doctor),
    Rebuild(rebuild::Rebuild),
    Replay(replay::Replay),
    #[command(subcommand)]
    Log(log::Log),
    Backup(backup::Backup),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApi),
    /// Evaluates uploaded schemas for the server that starts it.
    #[command(name = sandbox::COMMAND, hide = true)]
    SchemaSandbox,
}

/// Understands the command line and runs it.
pub fn run() -> ExitCode {
    let line = match CommandLine::try_parse_from(with_default_command(std::env::args_os())) {
        Ok(line) => line,
        Err(error) => {
            // That the explanation can't be printed is no reason for another error.
            drop(error.print());
            return match error.kind() {
                UsageError::DisplayHelp | UsageError::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(USAGE),
            };
        }
    };
    // It has one thread and gives up everything that a runtime needs.
    if let Command::SchemaSandbox = line.command {
        return sandbox::child::run();
    }
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Where one task keeps its thread for a while, there are others.
        .worker_threads(processors + 2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(line.command.run()) {
        Ok(ending) => ending.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            failed(&error);
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => failed(&error),
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Serve(command) => command.run().await,
            Self::Apply(command) => command.run().await,
            Self::Dump(command) => command.run().await,
            Self::Diff(command) => command.run().await,
            Self::History(command) => command.run().await,
            Self::Show(command) => command.run().await,
            Self::Rollback(command) => command.run().await,
            Self::Revert(command) => command.run().await,
            Self::Erase(command) => command.run().await,
            Self::Restore(command) => command.run().await,
            Self::Group(command) => command.run().await,
            Self::Node(command) => command.run().await,
            Self::Token(command) => command.run().await,
            Self::Wait(command) => command.run().await,
            Self::Agent(command) => command.run().await,
            Self::Doctor(command) => command.run().await,
            Self::Rebuild(command) => command.run().await,
            Self::Replay(command) => command.run().await,
            Self::Log(command) => command.run().await,
            Self::Backup(command) => command.run().await,
            Self::OpenApi(command) => command.run(),
            Self::SchemaSandbox => Ok(Ending::Exit(sandbox::child::run())),
        }
    }
}

/// `serve` is what runs without a command: also when only its flags are given.
fn with_default_command(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const ABOUT_THE_PROGRAM: [&str; 4] = ["--help", "-h", "--version", "-V"];
    let mut arguments: Vec<OsString> = arguments.collect();
    let is_flag_of_serve = arguments.get(1).is_none_or(|first| {
        let first = first.to_string_lossy();
        first.starts_with('-') && !ABOUT_THE_PROGRAM.contains(&first.as_ref())
    });
    if is_flag_of_serve {
        arguments.insert(1.min(arguments.len()), OsString::from("serve"));
    }
    arguments
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let label = terminal::paint_note("error:", Style::Bad);
    terminal::note(&format!("{label} {error:#}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_and_flag_is_well_defined() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serve_is_what_runs_without_a_command() {
        let line = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            with_default_command(words).into_iter().nth(1).unwrap()
        };
        assert_eq!(line(&["runtime-manager"]), "serve");
        assert_eq!(line(&["runtime-manager", "--listen=127.0.0.1:1"]), "serve");
        assert_eq!(line(&["runtime-manager", "apply", "x"]), "apply");
        assert_eq!(line(&["runtime-manager", "--help"]), "--help");
    }
}
