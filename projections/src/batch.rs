//! What one transaction writes: many commits folded into rows in memory, so that a row that comes and goes within
//! the batch is written once, with its end already known.

use std::collections::HashMap;
use std::sync::Arc;

use domain::fingerprint::Fingerprint;
use domain::group::{Entity, GroupEvent};
use domain::keyring::KeyNotLoaded;
use domain::organization::{GroupRecord, NodeCertificate, OrganizationEvent, TokenRecord};
use domain::system::{GroupOfOrganization, SystemEvent};
use domain::{
    Boundary, Change, Commit, DataKeys, Digest, EntityId, GroupId, Kind, NodeCertificateId, OrganizationId,
    Position, Timestamp, TokenId, Version, commit::Changes,
};

use crate::change_terms::{self, Postings, Term};
use crate::decoding::Decoded;
use crate::recorded::Recorded;
use crate::search_key;
use crate::summary::{self, EventSummary};

/// An entity of a group.
pub(crate) type EntityKey = (GroupId, Kind, EntityId);

/// An entity with the versions in which it was so. It is sealed when its row is written: what a large change sealed never stands in
/// memory as a whole.
pub(crate) struct EntityRow {
    pub(crate) group: GroupId,
    pub(crate) entity: Arc<Entity>,
    pub(crate) from: Version,
    /// None: still valid.
    pub(crate) to: Option<Version>,
}

/// What an entity was found by, and in which versions: a row for each of its search keys.
pub(crate) struct KeyRows {
    pub(crate) group: GroupId,
    pub(crate) entity: Arc<Entity>,
    pub(crate) from: Version,
    pub(crate) to: Option<Version>,
}

/// Which rows of this batch are an entity's that are still valid.
#[derive(Default)]
struct Open {
    entity: Option<usize>,
    keys: Option<usize>,
}

/// A change of any boundary.
pub(crate) struct NewChange {
    pub(crate) boundary: Boundary,
    pub(crate) version: Version,
    pub(crate) at: Timestamp,
    pub(crate) position: Position,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: Option<uuid::Uuid>,
    pub(crate) source: Option<String>,
    pub(crate) events: Vec<EventSummary>,
}

/// The end of a boundary's chain, and its newest change if this batch has one.
pub(crate) struct BoundaryEnd {
    pub(crate) position: Position,
    pub(crate) digest: Digest,
    pub(crate) newest: Option<(Version, Timestamp)>,
}

/// Whose a certificate is, or was.
pub(crate) struct ClaimRow {
    pub(crate) by: GroupOfOrganization,
    pub(crate) held: bool,
}

/// A certificate in its group's record.
pub(crate) struct CertificateRow {
    pub(crate) organization: OrganizationId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) removed: bool,
    /// None if it was added in an earlier batch.
    pub(crate) added: Option<NodeCertificate>,
}

/// Rows to be written in one transaction.
#[derive(Default)]
pub(crate) struct Batch {
    /// The last record and its digest.
    pub(crate) checkpoint: Option<(Position, Digest)>,
    pub(crate) entities: Vec<EntityRow>,
    pub(crate) keys: Vec<KeyRows>,
    /// Rows of earlier batches whose validity ends.
    pub(crate) ended_entities: Vec<(EntityKey, Version)>,
    pub(crate) ended_keys: Vec<(EntityKey, Version)>,
    pub(crate) counts: HashMap<(GroupId, Kind), i64>,
    pub(crate) changes: Vec<NewChange>,
    /// The boundaries in which a change was made by a clock that says less than the one of an earlier change did, and what it
    /// says: nothing before it can have happened later.
    pub(crate) set_back: HashMap<Boundary, Timestamp>,
    /// What the changes are found by, but for the tags that ended keys of earlier batches had.
    pub(crate) terms: Postings,
    pub(crate) boundaries: HashMap<Boundary, BoundaryEnd>,
    pub(crate) organizations: HashMap<OrganizationId, String>,
    pub(crate) groups: HashMap<GroupId, (OrganizationId, GroupRecord)>,
    pub(crate) tokens: HashMap<TokenId, (OrganizationId, TokenRecord)>,
    pub(crate) claims: HashMap<Fingerprint, ClaimRow>,
    pub(crate) certificates: HashMap<(GroupId, NodeCertificateId), CertificateRow>,
    /// Bytes of the bodies so far.
    pub(crate) size: usize,
    open: HashMap<EntityKey, Open>,
}

impl Batch {
    /// Takes a record in. When a key isn't loaded, nothing of the record has been taken.
    pub(crate) fn add(&mut self, decoded: &Decoded, keys: &dyn DataKeys) -> Result<(), KeyNotLoaded> {
        let newest = match &decoded.commit {
            Some(commit) => self.add_commit(commit, keys)?,
            None => None,
        };
        let end = self.boundaries.entry(decoded.boundary).or_insert(BoundaryEnd {
            position: decoded.position,
            digest: decoded.digest,
            newest,
        });
        (end.position, end.digest) = (decoded.position, decoded.digest);
        end.newest = newest.or(end.newest);
        self.checkpoint = Some((decoded.position, decoded.digest));
        Ok(())
    }

    fn add_commit(
        &mut self,
        commit: &Commit,
        keys: &dyn DataKeys,
    ) -> Result<Option<(Version, Timestamp)>, KeyNotLoaded> {
        let (boundary, position) = (commit.changes.boundary(), commit.position);
        Ok(match &commit.changes {
            Changes::System(changes) => {
                for change in changes {
                    change.events.iter().for_each(|event| self.add_system(event));
                    self.add_change(boundary, position, change, summary::of_system);
                }
                newest(changes)
            }
            Changes::Organization(id, changes) => {
                let events = changes.iter().flat_map(|change| &change.events);
                let words = events.map(|event| Recorded::sealed_words(event, keys));
                let mut words = words.collect::<Result<Vec<_>, _>>()?.into_iter();
                for change in changes {
                    let add = |event| self.add_organization(*id, change.version, event);
                    change.events.iter().for_each(add);
                    self.add_change(boundary, position, change, summary::of_organization);
                    self.add_things(boundary, change.version);
                    self.hide_words(words.by_ref().take(change.events.len()));
                }
                newest(changes)
            }
            Changes::Group(group, changes) => {
                for change in changes {
                    for event in &change.events {
                        self.add_entity(*group, change.version, event);
                    }
                    self.add_change(boundary, position, change, summary::of_group);
                    let tags = change_terms::of_tags(change.events.iter().flat_map(tags));
                    self.add_terms(boundary, change.version, tags);
                }
                newest(changes)
            }
        })
    }

    fn set_back(&mut self, boundary: Boundary, to: Timestamp) {
        let of_boundary = self.changes.iter_mut().rev();
        for change in of_boundary.filter(|change| change.boundary == boundary) {
            if change.at <= to {
                break;
            }
            change.at = to;
        }
        let noted = self.set_back.entry(boundary).or_insert(to);
        *noted = to.min(*noted);
    }

    fn add_change<E>(
        &mut self,
        boundary: Boundary,
        position: Position,
        change: &Change<E>,
        summary: fn(&E) -> EventSummary,
    ) {
        let events = summary::of_events(&change.events, summary);
        let terms = change_terms::of_change(&change.actor, change.reason.as_deref(), &events);
        self.add_terms(boundary, change.version, terms);
        if change.clock < change.at {
            self.set_back(boundary, change.clock);
        }
        self.changes.push(NewChange {
            boundary,
            version: change.version,
            at: change.clock,
            position,
            actor: serde_json::to_string(&change.actor).expect("an actor serializes"),
            reason: change.reason.clone(),
            request_id: change.request_id,
            source: change.source.clone(),
            events,
        });
    }

    /// Seals what instances say in the newest change.
    fn hide_words(&mut self, words: impl Iterator<Item = Option<Vec<u8>>>) {
        let newest = self.changes.last_mut().into_iter();
        for (event, words) in newest.flat_map(|change| &mut change.events).zip(words) {
            if let (Some(recorded), Some(words)) = (&mut event.recorded, words) {
                recorded.hide_words(words);
            }
        }
    }

    /// What an organization's things are called; a group's entities are found otherwise, or by nobody but whom they name.
    fn add_things(&mut self, boundary: Boundary, version: Version) {
        let newest = self.changes.last();
        let things: Vec<_> = newest
            .into_iter()
            .flat_map(|change| change_terms::of_things(&change.events))
            .collect();
        self.add_terms(boundary, version, things);
    }

    fn add_terms(&mut self, boundary: Boundary, version: Version, terms: impl IntoIterator<Item = Term>) {
        for term in terms {
            self.terms.add(boundary, term, version);
        }
    }

    fn add_system(&mut self, event: &SystemEvent) {
        match event {
            SystemEvent::OrganizationRegistered { id, name } => {
                self.organizations.insert(*id, name.clone());
            }
            SystemEvent::CertificateClaimed { fingerprint, by, .. } => {
                self.claims.insert(*fingerprint, ClaimRow { by: *by, held: true });
            }
            SystemEvent::CertificateReleased { fingerprint, by } => {
                self.claims
                    .insert(*fingerprint, ClaimRow { by: *by, held: false });
            }
            SystemEvent::Initialized { .. } | SystemEvent::AuthorityCreated { .. } => {}
        }
    }

    fn add_organization(
        &mut self,
        organization: OrganizationId,
        version: Version,
        event: &OrganizationEvent,
    ) {
        match event {
            OrganizationEvent::OrganizationCreated { id, name } => {
                self.organizations.insert(*id, name.clone());
            }
            OrganizationEvent::GroupCreated { group }
            | OrganizationEvent::GroupUpdated { group, .. }
            | OrganizationEvent::GroupDeleted { group }
            | OrganizationEvent::GroupRestored { group }
            | OrganizationEvent::GroupPurged { group } => {
                let group = GroupRecord {
                    touched: version,
                    ..group.clone()
                };
                self.groups.insert(group.id, (organization, group));
            }
            OrganizationEvent::TokenIssued { token }
            | OrganizationEvent::TokenRevoked { token }
            | OrganizationEvent::TokenRestored { token } => {
                self.tokens.insert(token.id, (organization, token.clone()));
            }
            OrganizationEvent::NodeCertificateAdded { certificate } => {
                let row = CertificateRow {
                    organization,
                    fingerprint: certificate.content.fingerprint,
                    removed: false,
                    added: Some(certificate.clone()),
                };
                self.certificates.insert((certificate.group, certificate.id), row);
            }
            OrganizationEvent::NodeCertificateRemoved {
                group,
                id,
                fingerprint,
                ..
            } => {
                let row = self.certificates.entry((*group, *id)).or_insert(CertificateRow {
                    organization,
                    fingerprint: *fingerprint,
                    removed: true,
                    added: None,
                });
                row.removed = true;
            }
            OrganizationEvent::NodeAdmitted { .. } | OrganizationEvent::NodeRefused { .. } => {}
        }
    }

    fn add_entity(&mut self, group: GroupId, version: Version, event: &GroupEvent) {
        match event {
            GroupEvent::EntityCreated { entity } => self.put(group, version, entity, None),
            GroupEvent::EntityUpdated { entity, changed } => self.put(group, version, entity, Some(changed)),
            GroupEvent::EntityDeleted { kind, id, .. } => {
                let key = (group, *kind, *id);
                self.end_entity(key, version);
                self.end_keys(key, version);
                *self.counts.entry((group, *kind)).or_default() -= 1;
            }
            GroupEvent::ConsumerErased { .. } | GroupEvent::GroupSealed | GroupEvent::GroupUnsealed => {}
        }
    }

    /// `changed` are the fields that differ from what the entity was; none if it is new.
    fn put(&mut self, group: GroupId, version: Version, entity: &Arc<Entity>, changed: Option<&[String]>) {
        let key = (group, entity.kind, entity.id);
        match changed {
            None => *self.counts.entry((group, entity.kind)).or_default() += 1,
            Some(_) => self.end_entity(key, version),
        }
        self.size += entity.body.len();
        self.open.entry(key).or_default().entity = Some(self.entities.len());
        self.entities.push(EntityRow {
            group,
            entity: Arc::clone(entity),
            from: version,
            to: None,
        });
        if changed.is_some_and(|changed| !search_key::affected_by(entity.kind, changed)) {
            return;
        }
        if changed.is_some() {
            self.end_keys(key, version);
        }
        self.open.entry(key).or_default().keys = Some(self.keys.len());
        self.keys.push(KeyRows {
            group,
            entity: Arc::clone(entity),
            from: version,
            to: None,
        });
    }

    /// A row that was opened by the same change was never valid; [`Self::valid_entities`] leaves it out.
    fn end_entity(&mut self, key: EntityKey, version: Version) {
        match self.open.get_mut(&key).and_then(|open| open.entity.take()) {
            Some(row) => self.entities[row].to = Some(version),
            None => self.ended_entities.push((key, version)),
        }
    }

    fn end_keys(&mut self, key: EntityKey, version: Version) {
        match self.open.get_mut(&key).and_then(|open| open.keys.take()) {
            Some(rows) => {
                let rows = &mut self.keys[rows];
                rows.to = Some(version);
                for tag in &*rows.entity.tags {
                    self.terms.add_tag(key.0, &search_key::tag(tag), version);
                }
            }
            None => self.ended_keys.push((key, version)),
        }
    }

    /// The groups that are purged by what this batch holds.
    pub(crate) fn purged_groups(&self) -> impl Iterator<Item = GroupId> {
        let groups = self.groups.values();
        groups
            .filter(|(_, group)| group.purged_at.is_some())
            .map(|(_, group)| group.id)
    }

    /// The rows that were valid in at least one version.
    pub(crate) fn valid_entities(&self) -> impl Iterator<Item = &EntityRow> {
        self.entities.iter().filter(|row| row.to != Some(row.from))
    }

    /// The search keys' rows that were valid in at least one version.
    pub(crate) fn valid_keys(&self) -> impl Iterator<Item = &KeyRows> {
        self.keys.iter().filter(|rows| rows.to != Some(rows.from))
    }
}

/// The tags an event's entity has now.
fn tags(event: &GroupEvent) -> impl Iterator<Item = &str> {
    let entity = match event {
        GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => Some(entity),
        GroupEvent::EntityDeleted { .. }
        | GroupEvent::ConsumerErased { .. }
        | GroupEvent::GroupSealed
        | GroupEvent::GroupUnsealed => None,
    };
    entity
        .into_iter()
        .flat_map(|entity| entity.tags.iter().map(|tag| &**tag))
}

fn newest<E>(changes: &[Change<E>]) -> Option<(Version, Timestamp)> {
    changes.last().map(|change| (change.version, change.clock))
}
