//! An organization: the registry of its runtime groups, its tokens, and what instances reported worth keeping.
//!
//! - [`group_record`]: a registered group and the rules of its name and labels; [`token_record`]: a stored token;
//!   [`node_certificate`]: a certificate that opens a group.
//! - [`node_reports`]: what instances' life leaves in it; [`command`], [`decide`]: what can be asked; [`event`]: what happened.

mod certificate_decisions;
pub mod command;
pub mod decide;
pub mod error;
pub mod event;
pub mod group_record;
pub mod node_certificate;
pub mod node_reports;
pub mod token_record;

pub use command::{GroupPatch, NewGroup, OrganizationCommand};
pub use decide::{OrganizationDecision, OrganizationOutcome, Subject, decide};
pub use error::OrganizationError;
pub use event::OrganizationEvent;
pub use group_record::{AuthType, ClusterType, GroupRecord, GroupSettings, ProxyUrl, RuntimeType};
pub use node_certificate::{AUTHORITY_LIMIT, CERTIFICATE_LIMIT, CertificateContent, NodeCertificate};
pub use token_record::TokenRecord;

use std::sync::Arc;

use imbl::{HashMap, OrdMap, OrdSet};
use uuid::Uuid;

use crate::group::IdempotencyWindow;
use crate::token::TokenHash;
use crate::{
    Change, Digest, GroupId, NodeCertificateId, NodeId, OrganizationId, Timestamp, TokenId, Version,
};

/// The name of the group that always exists and can be neither renamed nor deleted.
pub const DEFAULT_GROUP: &str = "default";

/// An organization's folded state.
#[derive(Clone, Debug, Default)]
pub struct Organization {
    /// The newest change's number.
    pub version: Version,
    /// The newest change's time.
    pub at: Timestamp,
    /// Its id; none before it was created.
    pub id: Option<OrganizationId>,
    /// Its name.
    pub name: String,
    /// Its groups, the deleted ones included.
    pub groups: OrdMap<GroupId, Arc<GroupRecord>>,
    /// Names in use, of groups that aren't deleted.
    pub names: HashMap<String, GroupId>,
    /// Its tokens, the revoked ones included.
    pub tokens: OrdMap<TokenId, Arc<TokenRecord>>,
    /// Token hashes in use.
    pub hashes: HashMap<TokenHash, TokenId>,
    /// Certificates of its groups, those of deleted groups included.
    pub certificates: OrdMap<(GroupId, NodeCertificateId), Arc<NodeCertificate>>,
    /// Nodes admitted once per (group, node, credential).
    pub admissions: OrdSet<(GroupId, NodeId, String)>,
    /// Refusals noted once per (group, node, digest).
    pub refusals: OrdSet<(GroupId, NodeId, Digest)>,
    /// Idempotency keys of recent changes.
    pub idempotency: IdempotencyWindow<Subject>,
}

impl Organization {
    /// Folds one change.
    pub fn apply(&mut self, change: &Change<OrganizationEvent>) {
        self.version = change.version;
        self.at = change.at;
        for event in &change.events {
            evolve(self, event);
        }
        if let Some(idempotency) = &change.idempotency {
            self.idempotency.remember(
                &change.actor,
                idempotency,
                change.version,
                change.clock,
                subject(&change.events),
            );
        }
    }

    /// A group that isn't deleted, by id.
    pub fn group(&self, id: GroupId) -> Option<&Arc<GroupRecord>> {
        self.groups.get(&id).filter(|group| group.deleted_at.is_none())
    }

    /// A group that isn't deleted, by name.
    pub fn group_named(&self, name: &str) -> Option<&Arc<GroupRecord>> {
        self.names.get(name).and_then(|id| self.group(*id))
    }

    /// A group's certificates, by id.
    pub fn certificates_of(&self, group: GroupId) -> impl Iterator<Item = &Arc<NodeCertificate>> + Clone {
        let first = (group, NodeCertificateId(Uuid::nil()));
        let last = (group, NodeCertificateId(Uuid::max()));
        self.certificates
            .range(first..=last)
            .map(|(_, certificate)| certificate)
    }

    fn put_group(&mut self, group: &GroupRecord) {
        if let Some(previous) = self.groups.get(&group.id)
            && self.names.get(&previous.name) == Some(&group.id)
        {
            let name = previous.name.clone();
            self.names.remove(&name);
        }
        if group.deleted_at.is_none() {
            self.names.insert(group.name.clone(), group.id);
        }
        self.groups.insert(
            group.id,
            Arc::new(GroupRecord {
                touched: self.version,
                ..group.clone()
            }),
        );
    }
}

/// What a change was about: the answer to a repeated request is rebuilt from it. The founding change is about its
/// token, a group's deletion about the group and not about the tokens revoked with it, its restoration not about the
/// certificates left out.
fn subject(events: &[OrganizationEvent]) -> Vec<Subject> {
    let group = |event: &OrganizationEvent| match event {
        OrganizationEvent::GroupCreated { group }
        | OrganizationEvent::GroupUpdated { group, .. }
        | OrganizationEvent::GroupDeleted { group }
        | OrganizationEvent::GroupRestored { group }
        | OrganizationEvent::GroupPurged { group } => Some(Subject::Group(group.id)),
        _ => None,
    };
    let credential = |event: &OrganizationEvent| match event {
        OrganizationEvent::TokenIssued { token }
        | OrganizationEvent::TokenRevoked { token }
        | OrganizationEvent::TokenRestored { token } => Some(Subject::Token(token.id)),
        OrganizationEvent::NodeCertificateAdded { certificate } => {
            Some(Subject::Certificate(certificate.group, certificate.id))
        }
        OrganizationEvent::NodeCertificateRemoved { group, id, .. } => {
            Some(Subject::Certificate(*group, *id))
        }
        _ => None,
    };
    let founding = matches!(
        events.first(),
        Some(OrganizationEvent::OrganizationCreated { .. })
    );
    let first_group = events.iter().find_map(group).filter(|_| !founding);
    first_group
        .or_else(|| events.iter().find_map(credential))
        .into_iter()
        .collect()
}

/// Folds one event; never refuses and never judges.
pub fn evolve(state: &mut Organization, event: &OrganizationEvent) {
    match event {
        OrganizationEvent::OrganizationCreated { id, name } => {
            state.id = Some(*id);
            state.name.clone_from(name);
        }
        OrganizationEvent::GroupCreated { group }
        | OrganizationEvent::GroupUpdated { group, .. }
        | OrganizationEvent::GroupDeleted { group }
        | OrganizationEvent::GroupRestored { group }
        | OrganizationEvent::GroupPurged { group } => state.put_group(group),
        OrganizationEvent::TokenIssued { token }
        | OrganizationEvent::TokenRevoked { token }
        | OrganizationEvent::TokenRestored { token } => {
            match token.revoked_at {
                None => state.hashes.insert(token.hash, token.id),
                Some(_) => state.hashes.remove(&token.hash),
            };
            state.tokens.insert(token.id, Arc::new(token.clone()));
        }
        OrganizationEvent::NodeCertificateAdded { certificate } => {
            let key = (certificate.group, certificate.id);
            state.certificates.insert(key, Arc::new(certificate.clone()));
        }
        OrganizationEvent::NodeCertificateRemoved { group, id, .. } => {
            state.certificates.remove(&(*group, *id));
        }
        OrganizationEvent::NodeAdmitted {
            group,
            node,
            credential,
            ..
        } => {
            state.admissions.insert((*group, *node, credential.clone()));
        }
        OrganizationEvent::NodeRefused {
            group, node, digest, ..
        } => {
            state.refusals.insert((*group, *node, *digest));
        }
    }
}
