//! What comes in a `reconfigure` frame, and what a data plane makes of it.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::validation::Validator;

/// The hash of nothing.
pub const NO_HASH: &str = "00000000000000000000000000000000";

/// A configuration that a node runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The hash that came with it, or that the node put in its place.
    pub hash: String,
    /// The `config_table`.
    pub table: Arc<Value>,
}

impl Configuration {
    /// The entities of a collection; none when it wasn't sent.
    pub fn all(&self, collection: &str) -> &[Value] {
        let found = self.table.get(collection).and_then(Value::as_array);
        found.map_or(&[], Vec::as_slice)
    }

    /// The entity of a collection whose `name`, `username`, `key` or `id` is so.
    pub fn find(&self, collection: &str, name: &str) -> Option<&Value> {
        let called = |entity: &&Value| {
            let names = ["name", "username", "instance_name", "key", "prefix", "id"];
            names.iter().any(|field| entity[field] == name)
        };
        self.all(collection).iter().find(called)
    }
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The frame's payload, still compressed.
    pub payload: Bytes,
    /// The message.
    pub message: Arc<Value>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It isn't a configuration.
    Ignored,
    /// Its hash is the stored one: nothing is done.
    Skipped,
    /// It is the node's configuration now.
    Applied(Configuration),
    /// Nothing of it is used, for these reasons.
    Refused(Vec<String>),
}

/// Inflates and reads a message. An error takes the connection down: the thread that applies crashes over it.
pub fn inflate(payload: &Bytes) -> Result<Value, String> {
    let mut text = Vec::new();
    let rest = if payload.first() == Some(&0x78) {
        let mut decoder = flate2::bufread::ZlibDecoder::new(&payload[..]);
        decoder
            .read_to_end(&mut text)
            .map_err(|error| format!("inflate: {error}"))?;
        decoder.into_inner().len()
    } else {
        let mut decoder = flate2::bufread::GzDecoder::new(&payload[..]);
        decoder
            .read_to_end(&mut text)
            .map_err(|error| format!("inflate: {error}"))?;
        decoder.into_inner().len()
    };
    if rest > 0 {
        return Err(format!("inflate: {rest} bytes follow the first member"));
    }
    let text = std::str::from_utf8(&text).map_err(|error| format!("JSON: {error}"))?;
    serde_json::from_str(text).map_err(|error| format!("JSON: {error}"))
}

/// Does with a message what a node with this stored hash does.
pub fn judge(message: &Value, stored: &str, validator: &Validator) -> Verdict {
    if message["type"] != "reconfigure" {
        return Verdict::Ignored;
    }
    let hash = match &message["config_hash"] {
        Value::String(hash) => hash.clone(),
        other => return Verdict::Refused(vec![format!("config_hash is no string: {other}")]),
    };
    judge_table(
        &message["config_table"],
        &hash,
        message.get("hashes"),
        stored,
        validator,
    )
}

/// The same for a configuration that came by other ways; `hashes` are the granular ones, all six of them or nothing.
pub fn judge_table(
    table: &Value,
    hash: &str,
    hashes: Option<&Value>,
    stored: &str,
    validator: &Validator,
) -> Verdict {
    if hash == stored {
        return Verdict::Skipped;
    }
    let mut findings = validator.check(table);
    if let Some(hashes) = hashes {
        let missing = HASHES.iter().filter(|name| !hashes[**name].is_string());
        findings.extend(missing.map(|name| format!("hashes.{name} is missing")));
    }
    if !findings.is_empty() {
        return Verdict::Refused(findings);
    }
    let empty = validator.version.hides_the_hash_of_nothing() && is_empty(table);
    Verdict::Applied(Configuration {
        hash: if empty {
            NO_HASH.to_owned()
        } else {
            hash.to_owned()
        },
        table: Arc::new(table.clone()),
    })
}

/// The names of the granular hashes.
pub const HASHES: [&str; 6] = ["config", "routes", "services", "plugins", "upstreams", "targets"];

/// Whether there is no entity besides workspaces.
fn is_empty(table: &Value) -> bool {
    let collections = table.as_object().into_iter().flatten();
    let mut entities = collections.filter(|(name, _)| !name.starts_with('_') && *name != "workspaces");
    entities.all(|(_, entities)| entities.as_array().is_none_or(Vec::is_empty))
}
