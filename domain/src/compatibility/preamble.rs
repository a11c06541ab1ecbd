//! What a configuration has besides its collections of entities.

use serde_json::json;
use uuid::Uuid;

use super::{Level, Release};

/// The id of the workspace `default`. Instances keep it in the keys of their storage: it never changes.
pub const DEFAULT_WORKSPACE: &str = "0dc6f45b-8f8d-40d2-a504-473544ee190b";
/// When that workspace is said to have been made, in seconds since the epoch: a constant, as equal configurations are
/// equal bytes.
const WORKSPACE_CREATED_AT: u32 = 1_577_836_800;

/// The members beside the collections of entities: key and JSON text, in order. An instance whose configuration is
/// empty but for `workspaces` would never become ready, so `parameters` is always there.
pub fn preamble(level: &Level, cluster_id: Uuid) -> Vec<(&'static str, String)> {
    let format_version = if level.release < Release::V3_0 {
        "2.1"
    } else {
        "3.0"
    };
    let mut workspace = json!({
        "id": DEFAULT_WORKSPACE,
        "name": "default",
        "created_at": WORKSPACE_CREATED_AT,
    });
    if level.release >= Release::V3_3 {
        workspace["updated_at"] = WORKSPACE_CREATED_AT.into();
    }
    let parameter = json!({
        "key": "cluster_id",
        "value": cluster_id,
        "created_at": WORKSPACE_CREATED_AT,
    });
    vec![
        ("_format_version", json!(format_version).to_string()),
        ("_transform", json!(false).to_string()),
        ("workspaces", json!([workspace]).to_string()),
        ("parameters", json!([parameter]).to_string()),
    ]
}
