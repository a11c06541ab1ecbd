//! What a change did, event by event, without bodies: what the history lists.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::group::GroupEvent;
use domain::organization::{GroupRecord, OrganizationEvent, TokenRecord};
use domain::schema::FieldSchema;
use domain::system::{GroupOfOrganization, SystemEvent};
use domain::{Kind, NodeCertificateId, group::Entity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::recorded::Recorded;

/// One event of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The event's name in the log, for example `entity.created`.
    pub what: Cow<'static, str>,
    /// What it is about: an entity kind's name, `runtime-groups`, `tokens`, `nodes`,
    /// `dp-client-certificates` or `organizations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The top-level fields that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Why an entity was deleted: `requested`, `cascade` or `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Whether an earlier event of the same change is about the same thing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// What an organization's event recorded of the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Box<Recorded>>,
}

/// The summaries of a change's events, in order.
pub(crate) fn of_events<E>(events: &[E], summary: fn(&E) -> EventSummary) -> Vec<EventSummary> {
    let mut summaries: Vec<_> = events.iter().map(summary).collect();
    let mut seen = HashSet::new();
    for event in &mut summaries {
        let about = event.kind.clone().zip(event.id);
        event.repeated = about.is_some_and(|about| !seen.insert(about));
    }
    summaries
}

impl EventSummary {
    const fn new(what: &'static str) -> Self {
        Self {
            what: Cow::Borrowed(what),
            kind: None,
            id: None,
            name: None,
            changed: Vec::new(),
            cause: None,
            repeated: false,
            recorded: None,
        }
    }

    fn about(what: &'static str, kind: &'static str, id: Uuid, name: Option<String>) -> Self {
        Self {
            kind: Some(Cow::Borrowed(kind)),
            id: Some(id),
            name,
            ..Self::new(what)
        }
    }
}

/// The summary of a group's event. A name that is sealed at rest is left out: readers take it from the entity.
pub(crate) fn of_group(event: &GroupEvent) -> EventSummary {
    match event {
        GroupEvent::EntityCreated { entity } => of_entity("entity.created", entity, &[]),
        GroupEvent::EntityUpdated { entity, changed } => of_entity("entity.updated", entity, changed),
        GroupEvent::EntityDeleted { kind, id, cause } => {
            let cause = serde_json::to_value(cause).ok();
            EventSummary {
                cause: cause.as_ref().and_then(Value::as_str).map(str::to_owned),
                ..EventSummary::about("entity.deleted", kind.name(), id.0, None)
            }
        }
        GroupEvent::ConsumerErased { id } => EventSummary::about("consumer.erased", "consumers", id.0, None),
        GroupEvent::GroupSealed => EventSummary::new("group.sealed"),
        GroupEvent::GroupUnsealed => EventSummary::new("group.unsealed"),
    }
}

fn of_entity(what: &'static str, entity: &Entity, changed: &[String]) -> EventSummary {
    let hidden = |field: &FieldSchema| field.sealed || field.personal;
    let name = name_field(entity.kind)
        .filter(|field| !hidden(field))
        .and_then(|_| entity_name(entity));
    EventSummary {
        changed: changed.to_vec(),
        ..EventSummary::about(what, entity.kind.name(), entity.id.0, name)
    }
}

fn name_field(kind: Kind) -> Option<&'static FieldSchema> {
    let schema = kind.schema();
    let named = |name: &str| schema.fields().iter().find(|field| field.name == name);
    schema.endpoint_key.and_then(named).or_else(|| named("name"))
}

/// What people call an entity.
pub(crate) fn entity_name(entity: &Entity) -> Option<String> {
    let field = name_field(entity.kind)?;
    match entity.map().remove(field.name)? {
        Value::String(name) => Some(name),
        _ => None,
    }
}

/// The summary of an organization's event, with what it recorded.
pub(crate) fn of_organization(event: &OrganizationEvent) -> EventSummary {
    EventSummary {
        recorded: Recorded::of(event).map(Box::new),
        ..of_organizations_thing(event)
    }
}

fn of_organizations_thing(event: &OrganizationEvent) -> EventSummary {
    let group = |what, group: &GroupRecord| {
        EventSummary::about(what, "runtime-groups", group.id.0, Some(group.name.clone()))
    };
    let token =
        |what, token: &TokenRecord| EventSummary::about(what, "tokens", token.id.0, Some(token.name.clone()));
    match event {
        OrganizationEvent::OrganizationCreated { id, name } => {
            EventSummary::about("organization.created", "organizations", id.0, Some(name.clone()))
        }
        OrganizationEvent::GroupCreated { group: record } => group("group.created", record),
        OrganizationEvent::GroupUpdated {
            group: record,
            changed,
        } => EventSummary {
            changed: changed.clone(),
            ..group("group.updated", record)
        },
        OrganizationEvent::GroupDeleted { group: record } => group("group.deleted", record),
        OrganizationEvent::GroupRestored { group: record } => group("group.restored", record),
        OrganizationEvent::GroupPurged { group: record } => group("group.purged", record),
        OrganizationEvent::TokenIssued { token: record } => token("token.issued", record),
        OrganizationEvent::TokenRevoked { token: record } => token("token.revoked", record),
        OrganizationEvent::TokenRestored { token: record } => token("token.restored", record),
        OrganizationEvent::NodeCertificateAdded { certificate } => {
            let name = certificate.name.as_ref().unwrap_or(&certificate.content.subject);
            of_certificate("node-certificate.added", certificate.id, name)
        }
        OrganizationEvent::NodeCertificateRemoved { id, subject, .. } => {
            of_certificate("node-certificate.removed", *id, subject)
        }
        OrganizationEvent::NodeAdmitted { node, hostname, .. } => {
            EventSummary::about("node.admitted", "nodes", node.0, Some(hostname.clone()))
        }
        OrganizationEvent::NodeRefused { node, .. } => {
            EventSummary::about("node.refused", "nodes", node.0, None)
        }
    }
}

fn of_certificate(what: &'static str, id: NodeCertificateId, name: &str) -> EventSummary {
    EventSummary::about(what, "dp-client-certificates", id.0, Some(name.to_owned()))
}

/// The summary of a system's event.
pub(crate) fn of_system(event: &SystemEvent) -> EventSummary {
    match event {
        SystemEvent::Initialized { .. } => EventSummary::new("system.initialized"),
        SystemEvent::AuthorityCreated { .. } => EventSummary::new("authority.created"),
        SystemEvent::OrganizationRegistered { id, name } => EventSummary::about(
            "organization.registered",
            "organizations",
            id.0,
            Some(name.clone()),
        ),
        SystemEvent::CertificateClaimed { by, .. } => of_claim("certificate.claimed", by),
        SystemEvent::CertificateReleased { by, .. } => of_claim("certificate.released", by),
    }
}

fn of_claim(what: &'static str, by: &GroupOfOrganization) -> EventSummary {
    EventSummary::about(what, "runtime-groups", by.group.0, None)
}
