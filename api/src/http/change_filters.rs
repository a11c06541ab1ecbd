//! Filters of histories: `actor=token:ci&kind=routes&tag=eu&message=timeout&since=2026-01-01T00:00:00Z`, all of them at once.

use domain::group::Selector;
use domain::{Boundary, Kind, Timestamp, Version};
use projections::ChangeFilter;
use uuid::Uuid;

use super::endpoint::{Parameter, query};
use super::exchange::Exchange;
use super::moment::{self, Instant};
use super::refusal::Refusal;

/// The parameters of a filtered history.
pub(crate) const FILTERS: [Parameter; 7] = [
    query(
        "actor",
        "made by this actor: token:<name>, system:<part>, a token's name or its id",
    ),
    query(
        "kind",
        "touched something of this kind: services, routes, and so on",
    ),
    query(
        "entity",
        "touched this one: services/<id or name>; a name means its holder of today, or else its last one",
    ),
    query(
        "tag",
        "touched entities with this tag, before or after; a,b: with all of these",
    ),
    query("message", "the message has all of these words"),
    query(
        "since",
        "this version or a later one, or not before this RFC 3339 time",
    ),
    query(
        "until",
        "this version or an earlier one, or not after this RFC 3339 time",
    ),
];

/// How many of the filters are about what a change is, before those that are about when it was made.
pub(crate) const ABOUT_CHANGES: usize = 5;

/// What an organization's changes are about.
const THINGS: [&str; 5] = [
    "organizations",
    "runtime-groups",
    "tokens",
    "dp-client-certificates",
    "nodes",
];

/// An id that nothing has: ids are random.
const NOTHING: Uuid = Uuid::nil();

impl Exchange {
    /// What the query asks for of a boundary's history.
    pub(crate) async fn change_filter(&self, boundary: Boundary) -> Result<ChangeFilter, Refusal> {
        let text = |name: &str| self.query.get(name).filter(|text| !text.is_empty());
        let kind = text("kind").map(|kind| kind_named(boundary, "kind", kind));
        let touched = match text("entity") {
            Some(entity) => Some(self.touched(boundary, entity).await?),
            None => None,
        };
        let tags = text("tag").into_iter().flat_map(|tags| tags.split(','));
        Ok(ChangeFilter {
            actor: text("actor").map(actor_label),
            kind: kind.transpose()?,
            touched,
            tags: tags.map(str::to_owned).collect(),
            message: text("message").map(str::to_owned),
            since: self.since(boundary).await?,
            until: self.until(boundary).await?,
        })
    }

    /// `services/orders`: what it means of a group's entities, or of an organization's things.
    async fn touched(&self, boundary: Boundary, text: &str) -> Result<(String, Uuid), Refusal> {
        let wrong = || {
            Refusal::invalid(
                "entity",
                "pattern",
                "must be a kind and an id or a name: services/orders",
            )
        };
        let (kind, named) = text.split_once('/').ok_or_else(wrong)?;
        let kind = kind_named(boundary, "entity", kind)?;
        let reads = self.reads();
        let entities = Kind::named(&kind).filter(|_| matches!(boundary, Boundary::Group(_)));
        let selector = match entities {
            Some(kind) => self.named(kind, named)?,
            None => Selector::parse(named),
        };
        let id = match (&selector, boundary, entities) {
            (Selector::Id(id), ..) => Some(id.0),
            (_, Boundary::Group(group), Some(kind)) => {
                let holder = reads.last_holder(group, kind, &selector).await?;
                holder.map(|id| id.0)
            }
            (Selector::Key(name), ..) => reads.last_named(boundary, &kind, name).await?,
        };
        Ok((kind, id.unwrap_or(NOTHING)))
    }

    async fn since(&self, boundary: Boundary) -> Result<Option<Version>, Refusal> {
        Ok(match self.instant("since")? {
            Some(Instant::Time(time)) => {
                let before = Timestamp(time.0.saturating_sub(1));
                let last = self.reads().boundary_version_at(boundary, before).await?;
                Some(last + 1)
            }
            Some(Instant::Version(version)) => Some(version),
            None => None,
        })
    }

    async fn until(&self, boundary: Boundary) -> Result<Option<Version>, Refusal> {
        Ok(match self.instant("until")? {
            Some(Instant::Time(time)) => Some(self.reads().boundary_version_at(boundary, time).await?),
            Some(Instant::Version(version)) => Some(version),
            None => None,
        })
    }

    fn instant(&self, name: &'static str) -> Result<Option<Instant>, Refusal> {
        let text = self.query.get(name);
        text.map(|text| moment::instant(name, text)).transpose()
    }
}

/// A label or a token's id as they are; anything else is a token's name.
fn actor_label(text: &str) -> String {
    match Uuid::try_parse(text) {
        Ok(id) => id.to_string(),
        Err(_) if text.starts_with("token:") || text.starts_with("system:") => text.to_owned(),
        Err(_) => format!("token:{text}"),
    }
}

/// The name that the history uses for a kind.
fn kind_named(boundary: Boundary, parameter: &'static str, name: &str) -> Result<String, Refusal> {
    let unknown = |known: &str| {
        let reason = format!("'{name}' is no kind of a history like this: {known}");
        Refusal::invalid(parameter, "enum", reason)
    };
    if let Boundary::Group(_) = boundary {
        let kind = Kind::in_collection(name).or_else(|| Kind::named(name));
        let kind = kind.ok_or_else(|| unknown("services, routes, consumers and so on"))?;
        return Ok(kind.name().to_owned());
    }
    match THINGS.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(unknown(&THINGS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_a_label_an_id_or_a_tokens_name() {
        assert_eq!(actor_label("ci"), "token:ci");
        assert_eq!(actor_label("token:ci"), "token:ci");
        assert_eq!(actor_label("system:expiry"), "system:expiry");
        let id = "11111111-1111-4111-8111-ABCDEFABCDEF";
        assert_eq!(actor_label(id), id.to_lowercase());
    }
}
