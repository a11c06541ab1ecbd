//! An instance's own id: made once, kept in its state directory.

use std::fs;
use std::io;
use std::path::Path;

use domain::NodeId;

use super::store::write_whole;

const FILE: &str = "node-id";

/// The id in the state directory, made at the first start.
pub fn node_id(directory: &Path) -> io::Result<NodeId> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|error| {
            let told = format!(
                "{} holds no node id ({error}): delete it, and this instance gets a new one",
                path.display()
            );
            io::Error::other(told)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = new_id()?;
            write_whole(&path, format!("{id}\n").as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the room's one place for randomness: nothing else tells two new instances apart"
)]
fn new_id() -> io::Result<NodeId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(NodeId(uuid::Builder::from_random_bytes(bytes).into_uuid()))
}

/// A number below `bound` that differs between instances and attempts: spreads retries without randomness.
pub fn spread(node: NodeId, attempt: u32, bound: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(node.0.as_bytes()).update(&attempt.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes) % bound.max(1)
}
