//! `docs/operations.md`: the commands that it tells people to run, so that tests run them too.

use std::path::{Path, PathBuf};

/// The text of `docs/operations.md`.
///
/// # Panics
/// When it can't be read.
pub fn text() -> String {
    let path = root().join("docs/operations.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The top of the repository.
pub fn root() -> PathBuf {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    room.parent()
        .expect("the rooms lie at the top of the repository")
        .to_owned()
}

/// The commands in the console blocks below a heading, in their order: the lines that begin with `$`.
///
/// # Panics
/// When there is no such heading, or no command below it.
pub fn commands(heading: &str) -> Vec<String> {
    let text = text();
    let mut lines = text
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'));
    lines
        .next()
        .unwrap_or_else(|| panic!("docs/operations.md has no heading {heading:?}"));
    let below = lines.take_while(|line| !line.starts_with('#'));
    let commands: Vec<String> = below
        .filter_map(|line| line.strip_prefix("$ "))
        .map(str::to_owned)
        .collect();
    assert!(!commands.is_empty(), "{heading:?} tells no command");
    commands
}
