//! Which changes of a history somebody wants to see.

use clap::Args;

use super::client::segment;

/// What the changes must satisfy, all of it.
#[derive(Args, Debug)]
pub struct ChangeFilters {
    /// Made by: token:<name>, system:<part>, a token's name or its id
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// Touched something of this kind: services, routes, and so on
    #[arg(long)]
    kind: Option<String>,
    /// Touched this one, also under other names and after its deletion: services/orders
    #[arg(long, value_name = "KIND/NAME")]
    entity: Option<String>,
    /// Touched entities with this tag, before or after; several separated by commas: with all of them
    #[arg(long)]
    tag: Option<String>,
    /// The message has all of these words
    #[arg(long, value_name = "WORDS")]
    message: Option<String>,
    /// This version or a later one, or not before this RFC 3339 time
    #[arg(long, value_name = "VERSION|TIME")]
    since: Option<String>,
    /// This version or an earlier one, or not after this RFC 3339 time
    #[arg(long, value_name = "VERSION|TIME")]
    until: Option<String>,
}

impl ChangeFilters {
    /// As parameters of a URL, each with `&` before it.
    pub fn parameters(&self) -> String {
        let all = [
            ("actor", &self.actor),
            ("kind", &self.kind),
            ("entity", &self.entity),
            ("tag", &self.tag),
            ("message", &self.message),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let given = all
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given
            .map(|(name, value)| format!("&{name}={}", segment(value)))
            .collect()
    }
}
