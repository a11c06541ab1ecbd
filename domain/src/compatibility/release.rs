//! The releases of Kong Gateway that are told apart: those whose schemas differ.

use super::GatewayVersion;

/// A release line, ordered by age. Patch releases of a line have the same schemas, except that 3.9.0 differs from
/// those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(u8);

/// Every release line, oldest first, and its major and minor number. `schemas/versions/fields.jsonl` uses these names.
const LINES: [(&str, u16, u16); 13] = [
    ("2.8", 2, 8),
    ("3.0", 3, 0),
    ("3.1", 3, 1),
    ("3.2", 3, 2),
    ("3.3", 3, 3),
    ("3.4", 3, 4),
    ("3.5", 3, 5),
    ("3.6", 3, 6),
    ("3.7", 3, 7),
    ("3.8", 3, 8),
    ("3.9.0", 3, 9),
    ("3.9", 3, 9),
    ("3.10", 3, 10),
];

/// A version for which nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Kong Gateway {version} is not supported: this control plane serves {} to {}",
    Release::OLDEST.name(),
    Release::NEWEST.name()
)]
pub struct Unsupported {
    /// The version.
    pub version: GatewayVersion,
}

impl Release {
    /// The oldest one.
    pub const OLDEST: Self = Self(0);
    /// The newest one.
    pub const NEWEST: Self = Self(LINES.len() as u8 - 1);
    pub(super) const V3_0: Self = Self::numbered("3.0");
    pub(super) const V3_3: Self = Self::numbered("3.3");
    pub(super) const V3_5: Self = Self::numbered("3.5");
    pub(super) const V3_7: Self = Self::numbered("3.7");

    /// The line a version belongs to.
    pub fn of(version: GatewayVersion) -> Result<Self, Unsupported> {
        let belongs = |(name, major, minor): &(&str, u16, u16)| {
            let first_only = *name == "3.9.0";
            (*major, *minor) == (version.major, version.minor) && (!first_only || version.patch == 0)
        };
        let line = LINES.iter().position(belongs);
        line.map(|line| Self(line as u8)).ok_or(Unsupported { version })
    }

    /// The line of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|release| release.name() == name)
    }

    /// Every line, oldest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..LINES.len() as u8).map(Self)
    }

    /// `"3.4"`, `"3.9.0"`.
    pub const fn name(self) -> &'static str {
        LINES[self.0 as usize].0
    }

    /// Its major and minor number.
    pub(super) const fn numbers(self) -> (u16, u16) {
        let (_, major, minor) = LINES[self.0 as usize];
        (major, minor)
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    const fn numbered(name: &str) -> Self {
        let mut line = 0;
        while line < LINES.len() {
            if same(LINES[line].0, name) {
                return Self(line as u8);
            }
            line += 1;
        }
        panic!("no such release")
    }
}

/// `==` of texts, at compile time.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
