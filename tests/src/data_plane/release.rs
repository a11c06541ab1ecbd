//! The Kong versions that are simulated, and in what they differ towards a control plane.

use std::fmt;
use std::str::FromStr;

/// A version of open-source Kong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KongVersion {
    /// The first number.
    pub major: u8,
    /// The second.
    pub minor: u8,
    /// The third.
    pub patch: u8,
}

/// What a data plane says first, and what follows from the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstContact {
    /// `GET /v1/outlet`.
    V1,
    /// `HEAD /v1/wrpc` once per start: 404 leads to v1, any other answer to wRPC.
    ProbeForWrpc,
    /// `GET /v1/wrpc`; there is no v1 in it.
    Wrpc,
    /// `GET /v2/outlet`, then v1 only where the answer offers no synchronisation.
    Rpc,
}

impl KongVersion {
    /// One of each release from 2.8 on: those that the specification was read from.
    pub const ALL: [Self; 12] = [
        Self::new(2, 8, 5),
        Self::new(3, 0, 2),
        Self::new(3, 1, 1),
        Self::new(3, 2, 2),
        Self::new(3, 3, 1),
        Self::new(3, 4, 2),
        Self::new(3, 5, 0),
        Self::new(3, 6, 1),
        Self::new(3, 7, 1),
        Self::new(3, 8, 1),
        Self::new(3, 9, 1),
        Self::new(3, 10, 0),
    ];

    /// A version by its numbers.
    pub const fn new(major: u8, minor: u8, patch: u8) -> Self {
        Self { major, minor, patch }
    }

    /// Whether it comes before the release `major.minor`.
    pub const fn is_before(self, major: u8, minor: u8) -> bool {
        self.major < major || (self.major == major && self.minor < minor)
    }

    /// The place of its release among [`KongVersion::ALL`].
    ///
    /// # Panics
    /// For a version that isn't simulated.
    pub fn release(self) -> usize {
        let known = |known: &Self| (known.major, known.minor) == (self.major, self.minor);
        (Self::ALL.iter().position(known)).unwrap_or_else(|| panic!("Kong {self} isn't simulated"))
    }

    /// What it says first; `rpc` is its `cluster_rpc` together with `cluster_rpc_sync`.
    pub const fn first_contact(self, rpc: bool) -> FirstContact {
        match (self.major, self.minor) {
            (3, 0) => FirstContact::ProbeForWrpc,
            (3, 1) => FirstContact::Wrpc,
            (3, 9..) if rpc => FirstContact::Rpc,
            _ => FirstContact::V1,
        }
    }

    /// Its WebSocket client looks for `HTTP/1.1` only, so a refusal is a connection to it.
    pub const fn takes_any_answer_for_connected(self) -> bool {
        self.is_before(3, 1)
    }

    /// The default of `cluster_max_payload`, in bytes of the compressed frame.
    pub const fn default_max_payload(self) -> u64 {
        if self.is_before(3, 4) { 4 << 20 } else { 16 << 20 }
    }

    /// Whether a refused configuration is answered with the old hash at once, instead of with the next regular ping.
    pub const fn pings_when_it_refuses(self) -> bool {
        self.is_before(3, 6)
    }

    /// Whether the hash of a configuration without entities is replaced by zeros.
    pub const fn hides_the_hash_of_nothing(self) -> bool {
        !self.is_before(3, 2)
    }

    /// Whether the hash is stored with the configuration; otherwise it is computed anew at a start, with another result.
    pub const fn remembers_the_hash(self) -> bool {
        !self.is_before(3, 0)
    }

    /// Whether the node's id survives a restart.
    pub const fn remembers_its_id(self) -> bool {
        !self.is_before(3, 1)
    }

    /// Whether basic_info has the labels.
    pub const fn tells_labels(self) -> bool {
        !self.is_before(3, 3)
    }

    /// Whether basic_info has the node's settings and its filters.
    pub const fn tells_settings(self) -> bool {
        !self.is_before(3, 4)
    }

    /// The newest `_format_version` that it takes.
    pub const fn format_version(self) -> &'static str {
        if self.is_before(3, 0) { "2.1" } else { "3.0" }
    }
}

impl fmt::Display for KongVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for KongVersion {
    type Err = String;

    /// Reads `3.9.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u8> = text.split('.').filter_map(|part| part.parse().ok()).collect();
        match numbers[..] {
            [major, minor, patch] => Ok(Self::new(major, minor, patch)),
            _ => Err(format!("{text} isn't three numbers with dots between them")),
        }
    }
}
