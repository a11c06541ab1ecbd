//! Changes whose outcome this machine hasn't learnt yet: their idempotency keys are kept in a private file each, so that the
//! same command, run again after it was cut off, is told what the first one did and changes nothing twice.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use domain::{Clock as _, Timestamp};

use crate::clock::SystemClock;

/// For how long a command counts as the same, in seconds. Later it is another wish; the server remembers keys for 24 h.
const REMEMBERED_SECONDS: i64 = 60 * 60;
/// A key's length in hexadecimal digits.
const KEY_DIGITS: usize = 64;

/// A change that is sent, under its key.
#[derive(Debug)]
pub struct PendingChange {
    /// The idempotency key.
    pub key: String,
    /// Whether an earlier run sent it, and was cut off before it heard the outcome.
    pub resumed: bool,
    note: Option<Note>,
}

/// A file that is locked by the command that waits for the outcome.
#[derive(Debug)]
struct Note {
    path: PathBuf,
    /// Held for its lock.
    _file: File,
}

impl PendingChange {
    /// The change that is identified by everything in its request; with a key of its own unless one is kept.
    pub fn begin(identity: &blake3::Hash) -> Self {
        let folder = folder();
        Self::begin_in(folder.as_deref(), identity, SystemClock.now())
    }

    /// A folder that can't be written does no harm: then the key is forgotten with this command.
    fn begin_in(folder: Option<&Path>, identity: &blake3::Hash, now: Timestamp) -> Self {
        let fresh = blake3::Hash::from_bytes(commands::entropy::seed())
            .to_hex()
            .to_string();
        let noted = folder.and_then(|folder| note(folder, identity, &fresh, now).ok().flatten());
        match noted {
            Some((note, kept)) => Self {
                resumed: kept.is_some(),
                key: kept.unwrap_or(fresh),
                note: Some(note),
            },
            None => Self {
                key: fresh,
                resumed: false,
                note: None,
            },
        }
    }

    /// Its outcome is known: nothing needs to be kept.
    pub fn is_settled(self) {
        if let Some(note) = self.note {
            // A note that stays is old after an hour.
            drop(std::fs::remove_file(&note.path));
        }
    }
}

/// Where keys are kept: below the user's directory for what programs remember.
fn folder() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Some(state?.join("runtime-manager/pending"))
}

/// The file of a change, locked, and the key in it that still counts; none where another command holds it right now.
fn note(
    folder: &Path,
    identity: &blake3::Hash,
    fresh: &str,
    now: Timestamp,
) -> std::io::Result<Option<(Note, Option<String>)>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(identity.to_hex().as_str());
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let kept = read(&text, now);
    if kept.is_none() {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{fresh} {}", now.0)?;
        file.sync_all()?;
    }
    Ok(Some((Note { path, _file: file }, kept)))
}

/// The key of a note that isn't too old, nor from the future.
fn read(text: &str, now: Timestamp) -> Option<String> {
    let (key, at) = text.trim().split_once(' ')?;
    let at = Timestamp(at.parse().ok()?);
    let counts = at <= now && now < at.plus_seconds(REMEMBERED_SECONDS) && key.len() == KEY_DIGITS;
    counts.then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn begin(home: &Path, identity: &str, now: Timestamp) -> PendingChange {
        PendingChange::begin_in(Some(home), &blake3::hash(identity.as_bytes()), now)
    }

    #[test]
    fn a_change_that_was_cut_off_keeps_its_key_until_its_outcome_is_known() {
        let home = tempfile::tempdir().unwrap();
        let first = begin(home.path(), "a", NOW);
        let key = first.key.clone();
        assert!(!first.resumed);
        drop(first);
        let again = begin(home.path(), "a", NOW);
        assert_eq!((again.key.as_str(), again.resumed), (key.as_str(), true));
        again.is_settled();
        let next = begin(home.path(), "a", NOW);
        assert!(next.key != key && !next.resumed);
    }

    #[test]
    fn another_request_a_later_hour_and_a_command_at_the_same_time_have_keys_of_their_own() {
        let home = tempfile::tempdir().unwrap();
        let first = begin(home.path(), "a", NOW);
        assert_ne!(begin(home.path(), "b", NOW).key, first.key);
        assert_ne!(begin(home.path(), "a", NOW).key, first.key);
        let key = first.key.clone();
        drop(first);
        assert_ne!(
            begin(home.path(), "a", NOW.plus_seconds(REMEMBERED_SECONDS)).key,
            key
        );
    }

    #[test]
    fn notes_are_their_owners_alone_and_a_folder_that_cannot_be_is_no_obstacle() {
        let home = tempfile::tempdir().unwrap();
        let pending = begin(home.path(), "a", NOW);
        let note = pending.note.as_ref().unwrap();
        assert_eq!(note.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let no_folder = note.path.join("below a file");
        assert_eq!(begin(&no_folder, "a", NOW).key.len(), KEY_DIGITS);
    }
}
