//! The procedures of wRPC and what they are called with.

use super::envelope::NotAMessage;
use super::protobuf::{Fields, Writer};
use crate::kong::document::Hashes;
use crate::said;

/// The service that synchronises configurations.
pub const CONFIG: u32 = 1;
/// The service that agrees on services.
pub const NEGOTIATION: u32 = 5;
/// [`CONFIG`]: the control plane hands over a configuration.
pub const SYNC_CONFIG: u32 = 2;
/// [`CONFIG`]: the instance says which configuration it runs.
pub const PING_CP: u32 = 3;
/// [`CONFIG`]: the instance says which plugins it has.
pub const REPORT_METADATA: u32 = 4;
/// [`NEGOTIATION`]: the instance says which services it knows.
pub const NEGOTIATE_SERVICES: u32 = 1;

/// The one service that is spoken here, and its version.
const SPOKEN: (&str, &str) = ("config", "v1");
/// The longest hash, in bytes: it once was the payload of a WebSocket ping.
const HASH_LIMIT: usize = 125;

/// What an instance says of itself first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    /// Its program's version.
    pub version: String,
    /// Its host's name.
    pub hostname: String,
    /// The services it knows, with their versions.
    pub services: Vec<(String, Vec<String>)>,
}

impl Negotiation {
    /// Reads it.
    ///
    /// # Errors
    /// [`NotAMessage`] says what doesn't fit.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAMessage> {
        let mut negotiation = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => negotiation.describe(value.bytes()?)?,
                (2, value) => negotiation.services.push(service(value.bytes()?)?),
                _ => (),
            }
        }
        Ok(negotiation)
    }

    fn describe(&mut self, node: &[u8]) -> Result<(), NotAMessage> {
        for field in Fields::of(node) {
            match field? {
                (3, value) => self.version = value.text()?,
                (4, value) => self.hostname = value.text()?,
                _ => (),
            }
        }
        Ok(())
    }

    /// Whether it knows the service that hands over configurations.
    pub fn is_spoken(&self) -> bool {
        let mut services = self.services.iter();
        services
            .any(|(name, versions)| name == SPOKEN.0 && versions.iter().any(|version| version == SPOKEN.1))
    }

    /// Accepts that service, and no other.
    pub fn answer(&self) -> Vec<u8> {
        let mut answer = Writer::default().bytes(2, &[]);
        let mut accepted = false;
        for (name, versions) in &self.services {
            let (known, version) = SPOKEN;
            if name == known && !accepted && versions.iter().any(|offered| offered == version) {
                let service = Writer::default().bytes(1, name.as_bytes());
                let service = service.bytes(2, version.as_bytes()).bytes(3, b"");
                answer = answer.bytes(3, &service.finish());
                accepted = true;
            } else {
                let service = Writer::default().bytes(1, name.as_bytes());
                let service = service.bytes(3, b"this service isn't spoken here");
                answer = answer.bytes(4, &service.finish());
            }
        }
        answer.finish()
    }
}

fn service(bytes: &[u8]) -> Result<(String, Vec<String>), NotAMessage> {
    let (mut name, mut versions) = (String::new(), Vec::new());
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => versions.push(value.text()?),
            _ => (),
        }
    }
    Ok((name, versions))
}

/// Reads the plugins an instance has, each with the version it reports, as far as they are kept.
///
/// # Errors
/// [`NotAMessage`] says what doesn't fit.
pub fn decode_metadata(bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, NotAMessage> {
    let mut plugins = Vec::new();
    for field in Fields::of(bytes) {
        if let (1, value) = field? {
            plugins.push(plugin(value.bytes()?)?);
        }
    }
    Ok(said::named(plugins, |(name, _)| name).collect())
}

fn plugin(bytes: &[u8]) -> Result<(String, Option<String>), NotAMessage> {
    let (mut name, mut version) = (String::new(), None);
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => version = Some(value.text()?).filter(|version| !version.is_empty()),
            _ => (),
        }
    }
    Ok((
        name,
        version.map(|version| said::shortened(&version, said::VERSION_LIMIT)),
    ))
}

/// Confirms that the plugins were heard.
pub fn metadata_heard() -> Vec<u8> {
    // Kong takes an empty text for none.
    Writer::default().bytes(1, b"ok").finish()
}

/// Reads the hash that an instance pings with.
///
/// # Errors
/// [`NotAMessage`] says what doesn't fit.
pub fn decode_ping(bytes: &[u8]) -> Result<String, NotAMessage> {
    let mut hash = String::new();
    for field in Fields::of(bytes) {
        if let (1, value) = field? {
            hash = value.text()?;
        }
    }
    if hash.len() > HASH_LIMIT {
        return Err(NotAMessage("its hash is too long".to_owned()));
    }
    Ok(hash)
}

/// A configuration's message up to the configuration itself, which follows.
pub fn sync_config(length: usize, version: u64, hashes: &Hashes) -> Vec<u8> {
    let config = hashes.config.as_bytes();
    let mut parts = Writer::default().bytes(1, config);
    for (field, hash) in (2..).zip(&hashes.sections) {
        parts = parts.bytes(field, hash.as_bytes());
    }
    Writer::default()
        .number(2, version)
        .bytes(3, config)
        .bytes(4, &parts.finish())
        .opened(1, length)
        .finish()
}
