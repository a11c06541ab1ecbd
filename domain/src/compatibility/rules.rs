//! What may never be left out, and what is spelled otherwise by older releases: `schemas/versions/rules.json`, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Release;

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../schemas/versions/rules.json"))
        .expect("the embedded rules are part of the program and read by its tests")
});

static REWRITES: LazyLock<BTreeMap<&'static str, Vec<&'static Rewrite>>> = LazyLock::new(|| {
    let mut by_owner: BTreeMap<&str, Vec<&Rewrite>> = BTreeMap::new();
    for rewrite in &RULES.rewrites {
        for owner in &rewrite.owners {
            by_owner.entry(owner).or_default().push(rewrite);
        }
    }
    by_owner
});

#[derive(Deserialize)]
struct Rules {
    /// Per owner: fields without which something would be less protected, or would apply to more than it should.
    guarded: BTreeMap<String, Vec<String>>,
    /// In the order in which they are applied: from the newest release to the oldest.
    rewrites: Vec<Rewrite>,
}

/// How releases before one spell something.
#[derive(Deserialize)]
pub(super) struct Rewrite {
    #[serde(deserialize_with = "release")]
    before: Release,
    /// Older releases than this don't have it at all.
    #[serde(default = "oldest", deserialize_with = "release")]
    since: Release,
    owners: Vec<String>,
    #[serde(flatten)]
    pub(super) step: Step,
}

/// What is done.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// A value becomes another, and other fields become what goes with it.
    Value {
        field: String,
        is: Vec<Value>,
        becomes: Value,
        #[serde(default)]
        also: BTreeMap<String, Value>,
    },
    /// A field has another name.
    Rename { field: String, renamed: String },
    /// What takes more than that, by the function's name.
    Function { apply: String },
}

/// How this release spells an owner's fields, step by step.
pub(super) fn rewrites(owner: &str, release: Release) -> impl Iterator<Item = &'static Step> + use<> {
    let of_owner = REWRITES.get(owner).into_iter().flatten();
    of_owner
        .filter(move |rewrite| rewrite.since <= release && release < rewrite.before)
        .map(|rewrite| &rewrite.step)
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

fn release<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Release, D::Error> {
    let name = String::deserialize(deserializer)?;
    Release::named(&name).ok_or_else(|| serde::de::Error::custom(format_args!("unknown release {name:?}")))
}

const fn oldest() -> Release {
    Release::OLDEST
}

#[cfg(test)]
mod tests {
    use super::super::{field_lists, rewrite};
    use super::*;

    #[test]
    fn rewrites_stand_from_the_newest_release_to_the_oldest() {
        assert!(
            RULES
                .rewrites
                .is_sorted_by(|first, second| first.before >= second.before)
        );
    }

    #[test]
    fn rules_name_owners_that_the_field_lists_have_and_functions_that_exist() {
        let owners = RULES.rewrites.iter().flat_map(|rewrite| &rewrite.owners);
        for owner in owners.chain(RULES.guarded.keys()) {
            let fields = match owner.strip_prefix("plugins/") {
                Some(plugin) => field_lists::plugin(plugin, Release::NEWEST),
                None => field_lists::entity(owner, Release::NEWEST),
            };
            assert!(fields.is_some(), "{owner}");
        }
        for rewrite in &RULES.rewrites {
            if let Step::Function { apply } = &rewrite.step {
                assert!(rewrite::function(apply).is_some(), "{apply}");
            }
        }
    }

    #[test]
    fn what_is_below_a_guarded_field_is_guarded() {
        assert!(is_guarded("plugins/acl", "config.allow"));
        assert!(is_guarded("plugins/acl", "consumer_group"));
        assert!(is_guarded("services", "ca_certificates"));
        assert!(!is_guarded("services", "ca_certificates_too"));
        assert!(!is_guarded("plugins/jwt", "config.realm"));
    }
}
