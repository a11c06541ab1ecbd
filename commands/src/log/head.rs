//! The log's head: how far the log goes and a digest of everything up to there, signed, so that whoever keeps one can
//! later show that the log still begins with what it then was.
//!
//! ```text
//! running digest = BLAKE3(the one before, 32 zero bytes at first | position, 8 bytes, big endian | subject | BLAKE3(record))
//! signed text    = "runtime-manager head 1\n" log id "\n" position "\n" digest in hex "\n" time "\n"
//! ```

use domain::signing::{PublicKey, Signature, SigningKey};
use domain::{Digest, Position, Record, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a head's text and file begin with.
const FORMAT: &str = "runtime-manager head 1";

/// The running digest after one more record.
pub fn running_digest(before: Digest, record: &Record) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&before.0)
        .update(&record.position.0.to_be_bytes())
        .update(record.boundary.subject().as_bytes())
        .update(&Digest::of(&record.bytes).0);
    Digest(*hasher.finalize().as_bytes())
}

/// How far a log went at some time, and the digest of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The log's identity.
    pub log: Uuid,
    /// Its last record's position.
    pub position: Position,
    /// The running digest up to there.
    pub digest: Digest,
    /// When it was signed.
    pub at: Timestamp,
}

/// A head and the installation's signature under it; its JSON is the file `head.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "HeadFile", try_from = "HeadFile")]
pub struct SignedHead {
    /// What is signed.
    pub head: LogHead,
    /// Whose signature it says it is.
    pub public_key: PublicKey,
    /// The signature.
    pub signature: Signature,
}

/// Why a text isn't a head of this installation's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It isn't a head at all.
    #[error("it is not a signed head: {0}")]
    Form(String),
    /// Another installation's key, or another master key's.
    #[error(
        "it was signed with the key {found}, this installation's is {expected}: it belongs to another installation, or this is not \
         its master key"
    )]
    OtherKey {
        /// The id of the key it names.
        found: String,
        /// The id of the installation's key.
        expected: String,
    },
    /// It isn't what was signed.
    #[error("its signature is not valid: position, digest, time or log id were altered after it was signed")]
    Forged,
}

impl SignedHead {
    /// Signs a head.
    pub fn sign(head: LogHead, key: &SigningKey) -> Self {
        Self {
            head,
            public_key: key.public(),
            signature: key.sign(text(&head).as_bytes()),
        }
    }

    /// Reads what `head.json`, `log head` or `GET /v2/log/head` holds.
    pub fn parse(json: &str) -> Result<Self, HeadError> {
        serde_json::from_str(json).map_err(|error| HeadError::Form(error.to_string()))
    }

    /// Checks that the installation with this key signed it.
    pub fn check(&self, key: &PublicKey) -> Result<(), HeadError> {
        if self.public_key != *key {
            return Err(HeadError::OtherKey {
                found: self.public_key.id(),
                expected: key.id(),
            });
        }
        match key.verifies(text(&self.head).as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(HeadError::Forged),
        }
    }
}

fn text(head: &LogHead) -> String {
    let LogHead {
        log,
        position,
        digest,
        at,
    } = head;
    format!("{FORMAT}\n{log}\n{position}\n{digest}\n{at}\n")
}

#[derive(Serialize, Deserialize)]
struct HeadFile {
    format: String,
    log: Uuid,
    position: Position,
    digest: Digest,
    at: String,
    key: String,
    public_key: String,
    signature: String,
}

impl From<SignedHead> for HeadFile {
    fn from(signed: SignedHead) -> Self {
        Self {
            format: FORMAT.to_owned(),
            log: signed.head.log,
            position: signed.head.position,
            digest: signed.head.digest,
            at: signed.head.at.to_string(),
            key: signed.public_key.id(),
            public_key: signed.public_key.to_string(),
            signature: signed.signature.to_string(),
        }
    }
}

impl TryFrom<HeadFile> for SignedHead {
    type Error = String;

    fn try_from(file: HeadFile) -> Result<Self, String> {
        let expected = |what: &str| format!("its {what} can't be read");
        if file.format != FORMAT {
            return Err(format!("its format is `{}`, expected `{FORMAT}`", file.format));
        }
        let public_key = PublicKey::parse(&file.public_key).ok_or_else(|| expected("public_key"))?;
        if file.key != public_key.id() {
            return Err("its key is not the id of its public_key".to_owned());
        }
        Ok(Self {
            head: LogHead {
                log: file.log,
                position: file.position,
                digest: file.digest,
                at: file.at.parse().map_err(|_| expected("at"))?,
            },
            public_key,
            signature: Signature::parse(&file.signature).ok_or_else(|| expected("signature"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (SigningKey, SignedHead) {
        let key = SigningKey::from_seed(&[1; 32]);
        let head = LogHead {
            log: Uuid::from_u128(7),
            position: Position(42),
            digest: Digest([9; 32]),
            at: Timestamp(1_700_000_000_123),
        };
        let signed = SignedHead::sign(head, &key);
        (key, signed)
    }

    #[test]
    fn a_head_is_read_back_from_its_json_and_checks() {
        let (key, signed) = signed();
        let read = SignedHead::parse(&serde_json::to_string(&signed).unwrap()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.check(&key.public()), Ok(()));
    }

    #[test]
    fn any_altered_field_is_found() {
        let (key, signed) = signed();
        let json = serde_json::to_value(signed).unwrap();
        let other = SignedHead::sign(signed.head, &SigningKey::from_seed(&[2; 32]));
        let other = serde_json::to_value(other).unwrap();
        let altered = [
            ("format", "runtime-manager head 2".into()),
            ("log", Uuid::from_u128(8).to_string().into()),
            ("position", 43.into()),
            ("digest", Digest([8; 32]).to_string().into()),
            ("at", "2026-01-01T00:00:00.000Z".into()),
            ("key", other["key"].clone()),
            ("public_key", other["public_key"].clone()),
            ("signature", other["signature"].clone()),
        ];
        for (field, value) in altered {
            let mut json = json.clone();
            json[field] = value;
            let checked = SignedHead::parse(&json.to_string()).and_then(|head| head.check(&key.public()));
            assert!(checked.is_err(), "{field}");
        }
        let other = SignedHead::parse(&other.to_string()).unwrap();
        assert!(matches!(
            other.check(&key.public()),
            Err(HeadError::OtherKey { .. })
        ));
    }
}
