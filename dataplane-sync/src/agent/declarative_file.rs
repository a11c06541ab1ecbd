//! A replica as Kong's declarative configuration.

use domain::declarative::kong;
use serde_json::{Map, Value};

use super::replica::Replica;

/// The configuration as a mapping.
pub fn declarative(replica: &Replica) -> Map<String, Value> {
    kong(replica.entities().map(|(kind, _, body)| (kind, &**body)))
}
