//! A command to an organization, refused or turned into events.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::certificate_decisions;
use super::command::{GroupPatch, NewGroup, OrganizationCommand};
use super::group_record::{GroupRecord, GroupSettings, RuntimeType, check_labels, check_name};
use super::node_reports;
use super::{
    DEFAULT_GROUP, NodeCertificate, Organization, OrganizationError, OrganizationEvent, TokenRecord,
};
use crate::schema::Generator;
use crate::token::{Role, TokenHash};
use crate::{Context, GroupId, NodeCertificateId, OrganizationId, TokenId, Version};

/// How many groups an organization may have that aren't deleted.
pub const GROUP_LIMIT: usize = 10_000;
/// How many tokens an organization may have that work.
pub const TOKEN_LIMIT: usize = 10_000;

/// What a command does to the organization.
#[derive(Clone, Debug, Default)]
pub struct OrganizationDecision {
    /// The events of the one change; empty for "already so".
    pub events: Vec<OrganizationEvent>,
    /// Which group, token or certificate the caller is told about.
    pub subject: Subject,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug, Default)]
pub enum Subject {
    /// Nothing in particular.
    #[default]
    None,
    /// A group.
    Group(GroupId),
    /// A token.
    Token(TokenId),
    /// A certificate of a group.
    Certificate(GroupId, NodeCertificateId),
}

/// What the caller is told: the subject as it is after the change.
#[derive(Clone, Debug, Default)]
pub struct OrganizationOutcome {
    /// The group concerned, as it now is.
    pub group: Option<Arc<GroupRecord>>,
    /// The token concerned, as it now is.
    pub token: Option<Arc<TokenRecord>>,
    /// The certificate concerned; none if it was removed.
    pub certificate: Option<Arc<NodeCertificate>>,
    /// The certificates that a restored group doesn't have any more, because they belong to another group.
    pub left_out: Vec<Arc<NodeCertificate>>,
    /// The tokens that were revoked when the group was deleted and don't come back with it.
    pub left_out_tokens: Vec<Arc<TokenRecord>>,
}

impl OrganizationOutcome {
    /// The subject of a decision as a state has it.
    pub fn of(subject: Subject, state: &Organization) -> Self {
        match subject {
            Subject::None => Self::default(),
            Subject::Group(id) => Self {
                group: state.groups.get(&id).cloned(),
                ..Self::default()
            },
            Subject::Token(id) => Self {
                token: state.tokens.get(&id).cloned(),
                ..Self::default()
            },
            Subject::Certificate(group, id) => Self {
                certificate: state.certificates.get(&(group, id)).cloned(),
                ..Self::default()
            },
        }
    }
}

/// Decides a command.
pub fn decide(
    state: &Organization,
    command: &OrganizationCommand,
    context: &mut Context,
) -> Result<OrganizationDecision, OrganizationError> {
    match command {
        OrganizationCommand::Create { id, name, admin } => create(state, *id, name, *admin, context),
        OrganizationCommand::CreateGroup(new) => create_group(state, new, context),
        OrganizationCommand::UpdateGroup {
            group,
            patch,
            expected,
        } => update_group(state, *group, patch, expected.as_deref(), context),
        OrganizationCommand::DeleteGroup { group, expected } => {
            delete_group(state, *group, expected.as_deref(), context)
        }
        OrganizationCommand::RestoreGroup {
            group,
            name,
            leave_out,
        } => restore_group(state, *group, name.as_deref(), leave_out, context),
        OrganizationCommand::CountDeletionAnew { group } => Ok(count_deletion_anew(state, *group, context)),
        OrganizationCommand::PurgeGroup { group, expected } => {
            purge_group(state, *group, expected.as_deref(), context)
        }
        OrganizationCommand::AddNodeCertificate { group, pem, name, .. } => {
            certificate_decisions::add(state, *group, pem, name.as_deref(), context)
        }
        OrganizationCommand::RemoveNodeCertificate { group, certificate } => {
            certificate_decisions::remove(state, *group, *certificate)
        }
        OrganizationCommand::SetRuntimeType {
            group,
            runtime_type,
            replace,
        } => set_runtime_type(state, *group, *runtime_type, *replace, context),
        OrganizationCommand::IssueToken { .. } => issue_token(state, command, context),
        OrganizationCommand::RevokeToken { token } => revoke_token(state, *token, context),
        OrganizationCommand::AdmitNode { .. } | OrganizationCommand::RefuseNode { .. } => {
            Ok(node_reports::note(state, command))
        }
    }
}

fn create(
    state: &Organization,
    id: OrganizationId,
    name: &str,
    admin: TokenHash,
    context: &mut Context,
) -> Result<OrganizationDecision, OrganizationError> {
    if state.id.is_some() {
        return Err(OrganizationError::AlreadyCreated);
    }
    let default = NewGroup {
        name: DEFAULT_GROUP.to_owned(),
        ..NewGroup::default()
    };
    let group = new_group(GroupId(context.uuid()), &default, context);
    let token = TokenRecord {
        id: TokenId(context.uuid()),
        name: "first-admin".to_owned(),
        role: Role::Admin,
        group: None,
        hash: admin,
        created_at: context.at,
        expires_at: None,
        revoked_at: None,
        revoked_with_group: false,
    };
    let subject = Subject::Token(token.id);
    let events = vec![
        OrganizationEvent::OrganizationCreated {
            id,
            name: name.to_owned(),
        },
        OrganizationEvent::GroupCreated { group },
        OrganizationEvent::TokenIssued { token },
    ];
    Ok(OrganizationDecision { events, subject })
}

fn new_group(id: GroupId, new: &NewGroup, context: &Context) -> GroupRecord {
    GroupRecord {
        id,
        name: new.name.clone(),
        description: new.description.clone(),
        labels: new.labels.clone(),
        settings: new.settings.clone(),
        runtime_type: new.runtime_type,
        created_at: context.at,
        updated_at: context.at,
        deleted_at: None,
        purged_at: None,
        touched: 0,
    }
}

fn create_group(
    state: &Organization,
    new: &NewGroup,
    context: &mut Context,
) -> Result<OrganizationDecision, OrganizationError> {
    check_name(&new.name)?;
    check_labels(&new.labels)?;
    check_name_free(state, &new.name, None)?;
    if state.names.len() >= GROUP_LIMIT {
        return Err(OrganizationError::Limit {
            what: "runtime groups",
            limit: GROUP_LIMIT,
        });
    }
    let id = new.id.unwrap_or_else(|| GroupId(context.uuid()));
    if state.groups.contains_key(&id) {
        return Err(OrganizationError::IdTaken(id));
    }
    let group = new_group(id, new, context);
    Ok(OrganizationDecision {
        events: vec![OrganizationEvent::GroupCreated { group }],
        subject: Subject::Group(id),
    })
}

fn check_name_free(state: &Organization, name: &str, own: Option<GroupId>) -> Result<(), OrganizationError> {
    match state.names.get(name) {
        Some(holder) if Some(*holder) != own => Err(OrganizationError::NameTaken {
            name: name.to_owned(),
            holder: *holder,
        }),
        _ => Ok(()),
    }
}

/// A group that isn't deleted, if it was last touched by one of these changes.
pub(super) fn existing(
    state: &Organization,
    id: GroupId,
    expected: Option<&[Version]>,
) -> Result<Arc<GroupRecord>, OrganizationError> {
    let group = state.group(id).ok_or(OrganizationError::NoSuchGroup(id))?;
    check_touched(group, expected)?;
    Ok(Arc::clone(group))
}

fn check_touched(group: &GroupRecord, expected: Option<&[Version]>) -> Result<(), OrganizationError> {
    match expected {
        Some(versions) if !versions.contains(&group.touched) => Err(OrganizationError::Precondition {
            actual: group.touched,
        }),
        _ => Ok(()),
    }
}

fn update_group(
    state: &Organization,
    id: GroupId,
    patch: &GroupPatch,
    expected: Option<&[Version]>,
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let before = existing(state, id, expected)?;
    let mut group = before.as_ref().clone();
    let mut changed = Vec::new();
    let mut note = |field: &str, differs: bool| {
        if differs {
            changed.push(field.to_owned());
        }
    };
    if let Some(name) = &patch.name {
        check_name(name)?;
        check_name_free(state, name, Some(id))?;
        if before.name == DEFAULT_GROUP && name != DEFAULT_GROUP {
            return Err(OrganizationError::DefaultGroup);
        }
        note("name", group.name != *name);
        group.name.clone_from(name);
    }
    if let Some(description) = &patch.description {
        note("description", group.description != *description);
        group.description.clone_from(description);
    }
    if let Some(labels) = &patch.labels {
        check_labels(labels)?;
        note("labels", group.labels != *labels);
        group.labels.clone_from(labels);
    }
    if let Some(auth_type) = patch.auth_type {
        note("auth_type", group.settings.auth_type != auth_type);
        group.settings.auth_type = auth_type;
    }
    if let Some(proxy_urls) = &patch.proxy_urls {
        note("proxy_urls", group.settings.proxy_urls != *proxy_urls);
        group.settings.proxy_urls.clone_from(proxy_urls);
    }
    group.updated_at = context.at;
    let events = if changed.is_empty() {
        Vec::new()
    } else {
        vec![OrganizationEvent::GroupUpdated { group, changed }]
    };
    Ok(OrganizationDecision {
        events,
        subject: Subject::Group(id),
    })
}

fn delete_group(
    state: &Organization,
    id: GroupId,
    expected: Option<&[Version]>,
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let before = existing(state, id, expected)?;
    if before.name == DEFAULT_GROUP {
        return Err(OrganizationError::DefaultGroup);
    }
    let group = GroupRecord {
        deleted_at: Some(context.at),
        updated_at: context.at,
        ..before.as_ref().clone()
    };
    let mut events = vec![OrganizationEvent::GroupDeleted { group }];
    let belongs = |token: &&Arc<TokenRecord>| token.group == Some(id) && token.revoked_at.is_none();
    // An instance token of a deleted group must not open a group that takes its place.
    events.extend(
        state
            .tokens
            .values()
            .filter(belongs)
            .map(|token| OrganizationEvent::TokenRevoked {
                token: TokenRecord {
                    revoked_at: Some(context.at),
                    revoked_with_group: true,
                    ..token.as_ref().clone()
                },
            }),
    );
    Ok(OrganizationDecision {
        events,
        subject: Subject::Group(id),
    })
}

fn restore_group(
    state: &Organization,
    id: GroupId,
    name: Option<&str>,
    leave_out: &[NodeCertificateId],
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let before = state.groups.get(&id).ok_or(OrganizationError::NoSuchGroup(id))?;
    if before.deleted_at.is_none() {
        return Err(OrganizationError::NotDeleted(id));
    }
    if let Some(at) = before.purged_at {
        return Err(OrganizationError::Purged { id, at });
    }
    let name = name.unwrap_or(&before.name).to_owned();
    check_name(&name)?;
    check_name_free(state, &name, Some(id))?;
    let group = GroupRecord {
        name,
        deleted_at: None,
        updated_at: context.at,
        ..before.as_ref().clone()
    };
    let mut events = vec![OrganizationEvent::GroupRestored { group }];
    let left_out = leave_out
        .iter()
        .filter_map(|certificate| state.certificates.get(&(id, *certificate)));
    events.extend(left_out.map(|certificate| certificate_decisions::removed(certificate)));
    events.extend(returning_tokens(state, id));
    Ok(OrganizationDecision {
        events,
        subject: Subject::Group(id),
    })
}

fn count_deletion_anew(state: &Organization, id: GroupId, context: &Context) -> OrganizationDecision {
    let ahead = |group: &&Arc<GroupRecord>| group.deleted_at.is_some_and(|at| at > context.at);
    let event = state.groups.get(&id).filter(ahead).map(|before| {
        let group = GroupRecord {
            deleted_at: Some(context.at),
            updated_at: context.at,
            ..before.as_ref().clone()
        };
        let changed = vec!["deleted_at".to_owned()];
        OrganizationEvent::GroupUpdated { group, changed }
    });
    OrganizationDecision {
        events: event.into_iter().collect(),
        subject: Subject::Group(id),
    }
}

/// The tokens that were revoked with their group and come back with it, as far as the organization may have more.
fn returning_tokens(state: &Organization, group: GroupId) -> impl Iterator<Item = OrganizationEvent> {
    let returns = move |token: &&Arc<TokenRecord>| token.group == Some(group) && token.revoked_with_group;
    let room = TOKEN_LIMIT.saturating_sub(state.hashes.len());
    let returning = state.tokens.values().filter(returns).take(room);
    returning.map(|token| OrganizationEvent::TokenRestored {
        token: TokenRecord {
            revoked_at: None,
            revoked_with_group: false,
            ..token.as_ref().clone()
        },
    })
}

/// Of the record stays what the history says anyway: id, name, times. Its certificates go.
fn purge_group(
    state: &Organization,
    id: GroupId,
    expected: Option<&[Version]>,
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let before = state.groups.get(&id).ok_or(OrganizationError::NoSuchGroup(id))?;
    if before.deleted_at.is_none() {
        return Err(OrganizationError::StillExists(id));
    }
    check_touched(before, expected)?;
    let subject = Subject::Group(id);
    if before.purged_at.is_some() {
        return Ok(OrganizationDecision {
            events: Vec::new(),
            subject,
        });
    }
    let group = GroupRecord {
        description: None,
        labels: BTreeMap::new(),
        settings: GroupSettings::default(),
        updated_at: context.at,
        purged_at: Some(context.at),
        ..before.as_ref().clone()
    };
    let certificates = state.certificates_of(id);
    let events = certificates.map(|certificate| certificate_decisions::removed(certificate));
    Ok(OrganizationDecision {
        events: [OrganizationEvent::GroupPurged { group }]
            .into_iter()
            .chain(events)
            .collect(),
        subject,
    })
}

fn set_runtime_type(
    state: &Organization,
    id: GroupId,
    runtime_type: RuntimeType,
    replace: bool,
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let before = existing(state, id, None)?;
    let subject = Subject::Group(id);
    match before.runtime_type {
        Some(current) if current == runtime_type => Ok(OrganizationDecision {
            events: Vec::new(),
            subject,
        }),
        Some(current) if !replace => Err(OrganizationError::RuntimeType {
            actual: current.name(),
            wanted: runtime_type.name(),
        }),
        _ => {
            let (runtime_type, updated_at) = (Some(runtime_type), context.at);
            let group = GroupRecord {
                runtime_type,
                updated_at,
                ..before.as_ref().clone()
            };
            let changed = vec!["runtime_type".to_owned()];
            Ok(OrganizationDecision {
                events: vec![OrganizationEvent::GroupUpdated { group, changed }],
                subject,
            })
        }
    }
}

fn issue_token(
    state: &Organization,
    command: &OrganizationCommand,
    context: &mut Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let OrganizationCommand::IssueToken {
        name,
        role,
        group,
        hash,
        expires_at,
    } = command
    else {
        return Ok(OrganizationDecision::default());
    };
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(OrganizationError::invalid(
            "name",
            "must have 1 to 128 characters and no control characters",
        ));
    }
    if let Some(group) = group {
        existing(state, *group, None)?;
    } else if *role == Role::Instance {
        return Err(OrganizationError::invalid(
            "group",
            "is required: an instance token is for one runtime group",
        ));
    }
    if expires_at.is_some_and(|expiry| expiry <= context.at) {
        return Err(OrganizationError::invalid("expires_at", "must be in the future"));
    }
    if state.hashes.len() >= TOKEN_LIMIT {
        return Err(OrganizationError::Limit {
            what: "tokens",
            limit: TOKEN_LIMIT,
        });
    }
    let token = TokenRecord {
        id: TokenId(context.uuid()),
        name: name.clone(),
        role: *role,
        group: *group,
        hash: *hash,
        created_at: context.at,
        expires_at: *expires_at,
        revoked_at: None,
        revoked_with_group: false,
    };
    let subject = Subject::Token(token.id);
    Ok(OrganizationDecision {
        events: vec![OrganizationEvent::TokenIssued { token }],
        subject,
    })
}

fn revoke_token(
    state: &Organization,
    id: TokenId,
    context: &Context,
) -> Result<OrganizationDecision, OrganizationError> {
    let token = state.tokens.get(&id).ok_or(OrganizationError::NoSuchToken(id))?;
    // One that was revoked with its group and now for itself doesn't come back with the group.
    let revoked = TokenRecord {
        revoked_at: Some(context.at),
        revoked_with_group: false,
        ..token.as_ref().clone()
    };
    let events = if token.revoked_at.is_some() && !token.revoked_with_group {
        Vec::new()
    } else {
        vec![OrganizationEvent::TokenRevoked { token: revoked }]
    };
    Ok(OrganizationDecision {
        events,
        subject: Subject::Token(id),
    })
}
