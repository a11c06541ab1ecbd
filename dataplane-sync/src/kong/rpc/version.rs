//! What an instance calls the configuration it has: 32 characters that rise in the order of the alphabet.
//!
//! `v02_`, 16 digits of the group's version, and 12 that seal log, group, level and content: what an instance has of
//! another group, written for another level, or of a history that was replaced, is never built upon.

use std::fmt;

use domain::{Digest, GroupId, Version};
use uuid::Uuid;

const PREFIX: &str = "v02_";

/// Whose versions they are: those of a group of a log, as they are written for a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage([u8; 32]);

impl Lineage {
    /// That of a group and a level, whose description is any text that differs where what is written does.
    pub fn of(log: Uuid, group: GroupId, level: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(log.as_bytes()).update(group.0.as_bytes());
        hasher.update(level.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// What an instance calls the group's version that has this content.
    pub fn at(&self, version: Version, digest: Digest) -> SyncVersion {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(&digest.0);
        let mut seal = [0; 8];
        seal[2..].copy_from_slice(&hasher.finalize().as_bytes()[..6]);
        SyncVersion {
            version,
            seal: u64::from_be_bytes(seal),
        }
    }
}

/// A configuration as an instance calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncVersion {
    /// The group's version.
    pub version: Version,
    /// What it is a version of, and its content: 48 bits.
    seal: u64,
}

impl SyncVersion {
    /// Reads what an instance says it has; none where it has nothing, or something that isn't from here.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 28 || !digits.bytes().all(is_digit) {
            return None;
        }
        let (version, seal) = digits.split_at(16);
        Some(Self {
            version: Version::from_str_radix(version, 16).ok()?,
            seal: u64::from_str_radix(seal, 16).ok()?,
        })
    }
}

impl fmt::Display for SyncVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{:016x}{:012x}", self.version, self.seal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(Uuid::from_u128(2));
    const CONTENT: Digest = Digest([7; 32]);

    fn at(version: Version) -> SyncVersion {
        Lineage::of(Uuid::from_u128(1), GROUP, "3.10").at(version, CONTENT)
    }

    #[test]
    fn versions_have_32_characters_and_rise() {
        let texts = [0, 1, 9, 10, 15, 16, 255, 256, 1 << 40, u64::MAX].map(|version| at(version).to_string());
        assert!(texts.is_sorted_by(|one, next| one < next), "{texts:?}");
        for text in texts {
            assert_eq!(text.len(), 32);
            assert!(
                "0".repeat(32) < text,
                "more than that of an instance without configuration"
            );
            let read = SyncVersion::parse(&text).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn logs_groups_levels_and_contents_have_versions_of_their_own() {
        let (log, group) = (Uuid::from_u128(1), GROUP);
        let versions = [
            Lineage::of(log, group, "3.10").at(1, CONTENT),
            Lineage::of(log, group, "3.10").at(1, Digest([8; 32])),
            Lineage::of(log, group, "3.10 with a plugin").at(1, CONTENT),
            Lineage::of(log, GroupId(Uuid::from_u128(3)), "3.10").at(1, CONTENT),
            Lineage::of(Uuid::from_u128(2), group, "3.10").at(1, CONTENT),
        ];
        for (index, version) in versions.iter().enumerate() {
            assert!(!versions[..index].contains(version));
        }
    }

    #[test]
    fn anything_else_is_no_version() {
        for text in [
            "",
            "v02_",
            "00000000000000000000000000000000",
            "f1a744cfbe05c342e2b0c945bcb96d0a",
            "v02_000000000000000000000000000g",
            "v02_+000000000000000000000000000",
            "v02_deltas_have_no_latest_version_field",
            "v03_0000000000000000000000000000",
        ] {
            assert_eq!(SyncVersion::parse(text), None, "{text}");
        }
    }
}
