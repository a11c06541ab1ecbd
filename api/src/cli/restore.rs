//! `restore`: an entity as it was, as a new change.

use anyhow::anyhow;
use clap::Args;
use domain::Kind;
use serde_json::json;

use super::client::segment;
use super::ending::Ending;
use super::undoing::{Undoing, Undone};

/// Makes an entity of a runtime group again what it was, as a new change
///
/// One that was deleted comes back as it was, with what belonged to it and went with it. With --version, it becomes what it was at
/// that version, whether it still exists or not. What stands in the way is named, and nothing is changed then.
#[derive(Args, Debug)]
pub struct Restore {
    /// What it is, as in the API's paths: services, routes, consumers, key-auths …
    #[arg(value_name = "KIND")]
    kind: String,
    /// Its id, or the name it had
    #[arg(value_name = "ID|NAME")]
    entity: String,
    /// The version at which it was as it shall be; the one before its deletion if not said
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
    /// Leaves away what belonged to it and was deleted with it
    #[arg(long)]
    without_belongings: bool,
    #[command(flatten)]
    undoing: Undoing,
}

impl Restore {
    /// Restores the entity and prints what that changed.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let kind = Kind::in_collection(&self.kind).or_else(|| Kind::named(&self.kind));
        let kind = kind.ok_or_else(|| {
            anyhow!(
                "there are no `{}`: say services, routes, consumers … as in the API's paths",
                self.kind
            )
        })?;
        let (collection, entity) = (kind.schema().collection, &self.entity);
        let (body, then) = match self.version {
            Some(version) => (json!({ "version": version }), format!("at version {version}")),
            None => (json!({}), "before it was deleted".to_owned()),
        };
        let consequence = self.version.map(|version| {
            let group = &self.undoing.group;
            format!("This makes {collection} {entity} of the runtime group {group} what it was at version {version}")
        });
        let undone = Undone {
            path: format!("/core-entities/{collection}/{}/restore", segment(entity)),
            query: format!("&cascade={}", !self.without_belongings),
            body,
            consequence,
            effect: format!("with {collection} {entity} as it was {then}"),
        };
        self.undoing.run(undone).await
    }
}
