//! A plugin's protocols must overlap those of the route, or of a route of the service, it stands on
//! (`schemas/README.md` §7, plugins).

use imbl::OrdMap;
use serde_json::json;

use super::entity::Entity;
use super::{Group, GroupError};
use crate::EntityId;
use crate::schema::SchemaViolation;

/// The protocols that routes and plugins are for, a bit each.
const KNOWN: [&str; 8] = [
    "grpc",
    "grpcs",
    "http",
    "https",
    "tcp",
    "tls",
    "tls_passthrough",
    "udp",
];

const ROUTES: &str = "routes";
const SERVICES: &str = "services";

/// A set of protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocols(u8);

impl Protocols {
    /// Those that a field of a canonical body lists.
    pub(super) fn read(text: &str) -> Self {
        let listed: Option<Vec<String>> = serde_json::from_str(text).unwrap_or_default();
        let bit = |protocol: &String| KNOWN.iter().position(|known| known == protocol);
        let bits = listed.iter().flatten().filter_map(bit);
        Self(bits.fold(0, |all, bit| all | 1 << bit))
    }

    const fn overlap(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn each(self) -> impl Iterator<Item = u8> {
        (0..KNOWN.len() as u8).filter(move |bit| self.0 & 1 << bit != 0)
    }
}

/// How many routes services have, by protocol: what a plugin on a service with ten thousand routes is checked against.
#[derive(Clone, Debug, Default)]
pub(super) struct Routed(OrdMap<(EntityId, u8), u32>);

impl Routed {
    pub(super) fn of(&self, service: EntityId) -> Option<Protocols> {
        let bits = self.0.range((service, 0)..=(service, u8::MAX));
        bits.map(|((_, bit), _)| 1 << bit)
            .reduce(|all, bit| all | bit)
            .map(Protocols)
    }

    /// Takes a route in; anything else is none.
    pub(super) fn add(&mut self, entity: &Entity) {
        for key in keys(entity) {
            *self.0.entry(key).or_default() += 1;
        }
    }

    /// Takes it out again.
    pub(super) fn take(&mut self, entity: &Entity) {
        for key in keys(entity) {
            match self.0.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.0.remove(&key)),
            }
        }
    }
}

fn keys(entity: &Entity) -> impl Iterator<Item = (EntityId, u8)> {
    let is_route = entity.kind.name() == ROUTES;
    let service = entity
        .references
        .iter()
        .find(|reference| is_route && reference.kind.name() == SERVICES);
    let protocols = entity.protocols;
    service
        .into_iter()
        .flat_map(move |service| protocols.each().map(|bit| (service.id, bit)))
}

/// Checks a plugin against what it is attached to; other kinds pass.
pub fn check(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    if entity.kind.name() != "plugins" {
        return Ok(());
    }
    let own = entity.protocols;
    for reference in &entity.references {
        let Some(target) = state.entity(reference.kind, reference.id) else {
            continue;
        };
        match reference.kind.name() {
            ROUTES if !own.overlap(target.protocols) => {
                return Err(refused("must match the associated route's protocols"));
            }
            SERVICES if state.routed(target.id).is_some_and(|routes| !own.overlap(routes)) => {
                return Err(refused(
                    "must match the protocols of at least one route pointing to this Plugin's service",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn refused(text: &str) -> GroupError {
    GroupError::Schema(SchemaViolation {
        fields: json!({ "protocols": text }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::Kind;

    fn route(number: u128, protocols: &Value) -> Entity {
        let body = json!({"service": {"id": EntityId(Uuid::nil())}, "protocols": protocols});
        let kind = Kind::named(ROUTES).unwrap();
        Entity::from_map(kind, EntityId(Uuid::from_u128(number)), body.as_object().unwrap())
    }

    #[test]
    fn a_services_protocols_are_those_of_the_routes_it_has_now() {
        let (plain, secure) = (route(1, &json!(["http"])), route(2, &json!(["http", "https"])));
        let mut routed = Routed::default();
        let of = |routed: &Routed| routed.of(EntityId(Uuid::nil()));
        assert_eq!(of(&routed), None);
        routed.add(&plain);
        routed.add(&secure);
        assert_eq!(of(&routed), Some(Protocols::read(r#"["https","http"]"#)));
        routed.take(&secure);
        assert_eq!(of(&routed), Some(Protocols::read(r#"["http"]"#)));
        routed.take(&plain);
        assert_eq!(of(&routed), None);
    }

    #[test]
    fn every_protocol_of_the_catalogue_is_known() {
        for kind in [ROUTES, "plugins"] {
            let schema = crate::schema::json_schema(Kind::named(kind).unwrap());
            let text = schema.to_string();
            for protocol in KNOWN {
                assert!(text.contains(&format!("\"{protocol}\"")), "{kind}: {protocol}");
            }
        }
    }
}
