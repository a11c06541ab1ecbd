//! The master key: 32 random bytes as 64 hexadecimal digits, in a file that only its owner reads or in the environment.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::signing::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy;

/// The environment variable that holds the master key of a cluster.
pub const ENVIRONMENT_VARIABLE: &str = "RUNTIME_MANAGER_MASTER_KEY";

/// The length of XChaCha20-Poly1305's nonce in bytes.
const NONCE_BYTES: usize = 24;

/// What the signing key is derived for; never changed, or old signatures would be another key's.
const SIGNING_CONTEXT: &str = "runtime-manager 2026-11-22 Ed25519 signing key of the log";

/// The key that seals every page of the keyring; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("{redacted}")
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The text isn't a key.
    #[error("{0} doesn't hold a master key: expected 64 hexadecimal digits")]
    NotAKey(String),
    /// The file can't be read or made.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The command that prints the key didn't.
    #[error("the command for the master key, `{command}`: {reason}")]
    Command {
        /// The command.
        command: String,
        /// What happened; never what it printed.
        reason: String,
    },
    /// Others could read the file.
    #[error(
        "{path} can be read by others (mode {mode:o}): run `chmod 600 {path}`, and if others had access, change the key"
    )]
    ReadableByOthers {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
}

impl MasterKey {
    /// A fresh random key.
    pub fn generate() -> Self {
        Self(entropy::seed())
    }

    /// The key as 64 hexadecimal digits; `source` says where the text comes from.
    pub fn parse(text: &str, source: &str) -> Result<Self, MasterKeyError> {
        blake3::Hash::from_hex(text.trim())
            .map(|digits| Self(*digits.as_bytes()))
            .map_err(|_| MasterKeyError::NotAKey(source.to_owned()))
    }

    /// The key in this file; a file that doesn't exist is made, durable and readable by its owner only.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let key = Self::generate();
                key.write(path).map_err(|source| file_error(path, source))?;
                Ok(key)
            }
            loaded => loaded,
        }
    }

    /// The key in this file, which only its owner may be able to read.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let metadata = fs::metadata(path).map_err(|source| file_error(path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::ReadableByOthers {
                path: path.display().to_string(),
                mode,
            });
        }
        let text = fs::read_to_string(path).map_err(|source| file_error(path, source))?;
        Self::parse(&Zeroizing::new(text), &path.display().to_string())
    }

    /// The key that a command prints on its standard output; it is run by `sh -c`, and what it says on standard error is shown.
    pub fn from_command(command: &str) -> Result<Self, MasterKeyError> {
        let failed = |reason: String| MasterKeyError::Command {
            command: command.to_owned(),
            reason,
        };
        let ran = Command::new("sh")
            .args(["-c", command])
            .stderr(Stdio::inherit())
            .output();
        let ran = ran.map_err(|error| failed(error.to_string()))?;
        let printed = Zeroizing::new(ran.stdout);
        if !ran.status.success() {
            return Err(failed(format!("it ended with {}", ran.status)));
        }
        let text =
            str::from_utf8(&printed).map_err(|_| failed("it printed something else than text".to_owned()))?;
        Self::parse(text, &format!("what `{command}` printed"))
    }

    /// Writes the key beside its place and moves it there, so that a crash leaves all of it or nothing.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let unfinished = path.with_extension("key.new");
        if let Err(error) = fs::remove_file(&unfinished)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let digits = Zeroizing::new(format!("{}\n", blake3::Hash::from_bytes(self.0).to_hex()));
        file.write_all(digits.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// What the installation signs with: the same key in every process that has this master key.
    pub fn signing_key(&self) -> SigningKey {
        let seed = Zeroizing::new(blake3::derive_key(SIGNING_CONTEXT, &self.0));
        SigningKey::from_seed(&seed)
    }

    /// Seals a text for one place under a random nonce.
    pub(super) fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy::fill(&mut nonce);
        let sealed = XChaCha20Poly1305::new((&self.0).into())
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: place,
                },
            )
            .expect("XChaCha20-Poly1305 encrypts any text below 256 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
        XChaCha20Poly1305::new((&self.0).into())
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: text,
                    aad: place,
                },
            )
            .ok()
            .map(Zeroizing::new)
    }
}

fn file_error(path: &Path, source: std::io::Error) -> MasterKeyError {
    MasterKeyError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        let loaded = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(made.0, loaded.0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            MasterKey::load_or_create(&path),
            Err(MasterKeyError::ReadableByOthers { mode: 0o644, .. })
        ));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_without_being_shown() {
        let error = MasterKey::parse("hunter2", ENVIRONMENT_VARIABLE)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(ENVIRONMENT_VARIABLE) && !error.contains("hunter2"),
            "{error}"
        );
        assert!(MasterKey::parse(&format!("{}\n", "0f".repeat(32)), ENVIRONMENT_VARIABLE).is_ok());
    }

    #[test]
    fn a_command_prints_the_key_or_says_why_not() {
        let printed = MasterKey::from_command(&format!("echo {}", "0f".repeat(32))).unwrap();
        assert_eq!(printed.0, [0x0f; 32]);
        let refusal = |command: &str| MasterKey::from_command(command).unwrap_err().to_string();
        assert!(refusal("echo hunter2 | cat; exit 3").contains("exit status: 3"));
        let no_key = refusal("cat /dev/null");
        assert!(
            no_key.contains("cat /dev/null") && no_key.contains("64"),
            "{no_key}"
        );
    }

    #[test]
    fn a_file_that_was_named_is_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("elsewhere");
        assert!(matches!(MasterKey::load(&path), Err(MasterKeyError::File { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn processes_with_the_same_key_sign_alike() {
        let text = "0f".repeat(32);
        let public = |text: &str| MasterKey::parse(text, "").unwrap().signing_key().public();
        assert_eq!(public(&text), public(&text));
        assert_ne!(public(&text), MasterKey::generate().signing_key().public());
    }

    #[test]
    fn a_sealed_text_opens_only_with_its_key_at_its_place() {
        let key = MasterKey::generate();
        let sealed = key.seal(b"here", b"text");
        assert_eq!(key.open(b"here", &sealed).unwrap().as_slice(), b"text");
        assert!(key.open(b"there", &sealed).is_none());
        assert!(MasterKey::generate().open(b"here", &sealed).is_none());
        assert!(key.open(b"here", &sealed[..20]).is_none());
        assert_ne!(sealed, key.seal(b"here", b"text"));
    }
}
