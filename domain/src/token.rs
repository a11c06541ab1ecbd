//! Access tokens (DESIGN §11): random, typed prefix and checksum, stored as SHA-256, shown once.

use sha2::{Digest as _, Sha256};

use crate::Secret;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in its organization (or its group), secrets included.
    Admin,
    /// Reads in its organization (or its group), secrets redacted.
    Viewer,
    /// Connects a runtime instance to one group; nothing else.
    Instance,
}

impl Role {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Instance => "instance",
        }
    }

    /// Reads what people write.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Admin, Self::Viewer, Self::Instance]
            .into_iter()
            .find(|role| role.name() == name)
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "rma",
            Self::Viewer => "rmv",
            Self::Instance => "rmi",
        }
    }
}

/// The SHA-256 of a token: all that is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TokenHash(#[serde(with = "serde_bytes")] pub [u8; 32]);

/// Writes a token: `<prefix>_<43 letters and digits>_<8 digits of checksum>`; `entropy` must be fresh randomness.
pub fn write(role: Role, entropy: [u8; 32]) -> Secret {
    let body = base62(&entropy);
    let checksum = checksum(role.prefix(), &body);
    Secret::new(format!("{}_{body}_{checksum}", role.prefix()))
}

/// Why a text isn't a token of this program, before anything is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a token of Runtime Manager, or it was not copied whole (its checksum doesn't match)")]
pub struct Garbled;

/// Checks a token's form and answers its hash.
pub fn read(text: &str) -> Result<TokenHash, Garbled> {
    let mut pieces = text.splitn(3, '_');
    let (Some(prefix), Some(body), Some(sum)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(Garbled);
    };
    let known = [Role::Admin, Role::Viewer, Role::Instance]
        .iter()
        .any(|role| role.prefix() == prefix);
    if !known || checksum(prefix, body) != sum {
        return Err(Garbled);
    }
    Ok(hash(text))
}

/// The hash under which a token is stored.
pub fn hash(text: &str) -> TokenHash {
    TokenHash(Sha256::digest(text.as_bytes()).into())
}

fn checksum(prefix: &str, body: &str) -> String {
    let hash = Sha256::digest(format!("{prefix}_{body}").as_bytes());
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn base62(bytes: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = *bytes;
    let mut digits = Vec::with_capacity(43);
    for _ in 0..43 {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        digits.push(char::from(ALPHABET[remainder as usize]));
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_token_reads_back_and_hashes_to_what_is_stored() {
        let token = write(Role::Admin, [7; 32]);
        assert_eq!(read(token.expose()), Ok(hash(token.expose())));
    }

    #[test]
    fn a_token_with_one_letter_changed_is_garbled() {
        let token = write(Role::Viewer, [9; 32]);
        let altered = token.expose().replacen('_', "_x", 1);
        assert_eq!(read(&altered), Err(Garbled));
    }
}
