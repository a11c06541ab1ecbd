//! A gateway's version number, as an instance reports it.

use std::fmt;

/// A version of Kong Gateway. Enterprise versions have a fourth part, others have 0 there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayVersion {
    /// The first part.
    pub major: u16,
    /// The second part.
    pub minor: u16,
    /// The third part.
    pub patch: u16,
    /// The fourth part.
    pub build: u16,
}

impl GatewayVersion {
    /// Reads `d.d.d` and anything after it (`3.4.3.12`, `2.8.4.1-enterprise-edition`); none if it doesn't begin so.
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = text.split('.');
        let mut next = || leading_number(segments.next()?);
        Some(Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
            build: next().unwrap_or(0),
        })
    }
}

fn leading_number(segment: &str) -> Option<u16> {
    let end = segment
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(segment.len());
    segment[..end].parse().ok()
}

impl fmt::Display for GatewayVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
            build,
        } = self;
        write!(formatter, "{major}.{minor}.{patch}")?;
        match build {
            0 => Ok(()),
            build => write!(formatter, ".{build}"),
        }
    }
}
