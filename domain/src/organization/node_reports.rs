//! What the life of instances leaves in an organization's record for ever. Instances say it, so it is kept short.

use super::{Organization, OrganizationCommand, OrganizationDecision, OrganizationEvent};

/// The most characters of a host name that are kept.
pub const HOSTNAME_LIMIT: usize = 255;
/// The most characters of a refusal's reason that are kept.
pub const REASON_LIMIT: usize = 1_000;

/// A text cut to so many characters; what was cut off is marked.
pub fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(characters.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

/// Notes what an instance did, once.
pub(super) fn note(state: &Organization, command: &OrganizationCommand) -> OrganizationDecision {
    let event = match command {
        OrganizationCommand::AdmitNode {
            group,
            node,
            hostname,
            credential,
        } if !state.admissions.contains(&(*group, *node, credential.clone())) => {
            Some(OrganizationEvent::NodeAdmitted {
                group: *group,
                node: *node,
                hostname: shortened(hostname, HOSTNAME_LIMIT),
                credential: credential.clone(),
            })
        }
        OrganizationCommand::RefuseNode {
            group,
            node,
            version,
            digest,
            reason,
        } if !state.refusals.contains(&(*group, *node, *digest)) => Some(OrganizationEvent::NodeRefused {
            group: *group,
            node: *node,
            version: *version,
            digest: *digest,
            reason: shortened(reason, REASON_LIMIT),
        }),
        _ => None,
    };
    OrganizationDecision {
        events: event.into_iter().collect(),
        ..OrganizationDecision::default()
    }
}
