//! Files with secrets: for nobody else to read, and never over one that is there.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, bail};

/// Refuses a path at which something is: asked before a secret is made for nothing.
pub fn check_free(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} exists already: name another place", path.display());
    }
    Ok(())
}

/// Writes a new file that only its owner reads.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} can't be written", path.display()))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.key");
        write(&path, "one").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(check_free(&path).is_err() && write(&path, "two").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    }
}
