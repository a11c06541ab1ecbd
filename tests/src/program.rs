//! The binary under test: `runtime-manager`, built beside the running test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of `runtime-manager`, brought up to date with the sources the first time it is asked for.
///
/// # Panics
/// When it can't be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

/// The path of one of this room's examples: the program, composed in another way.
///
/// # Panics
/// When it can't be built.
pub fn example(name: &str) -> PathBuf {
    build_targets("--examples").join("examples").join(name)
}

/// Cargo names a program's path only to tests of its own package, so it is built here, with the profile, the directory and the
/// features (those of the whole workspace) of the running test: nothing is compiled twice.
fn build() -> PathBuf {
    build_targets("--bins").join("runtime-manager")
}

/// Answers the profile's directory.
fn build_targets(targets: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in <target>/<profile>/deps");
    let target = profile
        .parent()
        .expect("a profile's directory lies in the target directory");
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--workspace",
            targets,
            "--target-dir",
        ])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "runtime-manager can't be built: {status}");
    profile.to_owned()
}

/// A command that runs the program with nothing of this process's settings for it.
pub fn command() -> Command {
    command_of(program())
}

/// Whether a program's `serve` tells its options and hasn't this one: an older program may not have it.
pub(crate) fn lacks(program: &Path, option: &str) -> bool {
    let help = command_of(program).args(["serve", "--help"]).output();
    let help = help.expect("the program starts");
    help.status.success() && !String::from_utf8_lossy(&help.stdout).contains(option)
}

/// The same for another program that takes the same settings.
pub(crate) fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUNTIME_MANAGER_") {
            command.env_remove(name);
        }
    }
    command
}
