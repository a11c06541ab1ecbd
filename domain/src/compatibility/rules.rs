//! What may never be left out, and what is rewritten by simple rules: `schemas/versions/rules.json`, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../schemas/versions/rules.json"))
        .expect("the embedded rules are part of the program and read by its tests")
});

#[derive(Deserialize)]
struct Rules {
    /// Per owner: fields without which something would be less protected, or would apply to more than it should.
    guarded: BTreeMap<String, Vec<String>>,
}

/// Whether leaving this field out would protect less. What holds for all plugins stands under `plugins`.
pub(super) fn is_guarded(owner: &str, path: &str) -> bool {
    let kind = owner.split_once('/').map(|(kind, _)| kind);
    let of_owner = [Some(owner), kind].into_iter().flatten();
    of_owner
        .filter_map(|owner| RULES.guarded.get(owner))
        .flatten()
        .filter_map(|guarded| path.strip_prefix(guarded.as_str()))
        .any(|rest| rest.is_empty() || rest.starts_with('.'))
}
