//! The auditor's export: JSON lines, each with the SHA-256 of the line before, signed at the end (`docs/auditing.md`).

use bytes::Bytes;
use domain::group::Entity;
use domain::organization::GroupRecord;
use domain::signing::SigningKey;
use domain::{OrganizationId, Timestamp, Version};
use projections::audit::{AuditedChange, AuditedEvent};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::presentation;

/// What the header's `format` and the signed text say.
const FORMAT: &str = "runtime-manager history 1";

/// What is exported.
pub(crate) struct Subject<'a> {
    /// The log's identity.
    pub(crate) log: Option<Uuid>,
    /// The tenant.
    pub(crate) organization: OrganizationId,
    /// The group.
    pub(crate) group: &'a GroupRecord,
    /// The first version.
    pub(crate) from: Version,
    /// The last version.
    pub(crate) to: Version,
    /// When it is exported.
    pub(crate) at: Timestamp,
}

/// Writes one line after another.
#[derive(Default)]
pub(crate) struct Lines {
    /// The SHA-256 of the line before, in hex.
    previous: String,
    changes: u64,
}

impl Lines {
    /// The first line: what this is, and whose signature stands at its end.
    pub(crate) fn header(&mut self, subject: &Subject<'_>, key: &SigningKey) -> Bytes {
        let key = key.public();
        self.line(&json!({
            "format": FORMAT,
            "log": subject.log,
            "organization": subject.organization,
            "group": { "id": subject.group.id, "name": subject.group.name },
            "from": subject.from,
            "to": subject.to,
            "exported_at": subject.at.rfc3339(),
            "key": key.id(),
            "public_key": key.to_string(),
        }))
    }

    /// A change with what each of its events did.
    pub(crate) fn change(&mut self, audited: &AuditedChange) -> Bytes {
        self.changes += 1;
        let change = &audited.change;
        self.line(&json!({
            "previous": self.previous,
            "version": change.version,
            "at": change.at.rfc3339(),
            "actor": change.actor,
            "reason": change.reason,
            "request_id": change.request_id,
            "source": change.source,
            "position": audited.position,
            "record": audited.record,
            "events": audited.events.iter().map(event).collect::<Vec<_>>(),
        }))
    }

    /// The last line: how many changes there are, and the signature under all lines before.
    pub(crate) fn end(&mut self, key: &SigningKey) -> Bytes {
        let text = format!("{FORMAT}\n{}\n{}\n", self.changes, self.previous);
        self.line(&json!({
            "previous": self.previous,
            "changes": self.changes,
            "signature": key.sign(text.as_bytes()).to_string(),
        }))
    }

    fn line(&mut self, value: &Value) -> Bytes {
        let mut line = value.to_string();
        let digest = Sha256::digest(&line);
        self.previous = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        line.push('\n');
        line.into()
    }
}

/// An event as the history lists it, with bodies.
fn event(audited: &AuditedEvent) -> Value {
    let mut shown = json!(audited.summary);
    shown["before"] = body(audited.before.as_deref());
    shown["after"] = body(audited.after.as_deref());
    shown
}

/// Secrets are never shown here, whoever asks: the file leaves the installation.
fn body(entity: Option<&Entity>) -> Value {
    entity.map_or(Value::Null, |entity| {
        Value::Object(presentation::body(entity, false))
    })
}
