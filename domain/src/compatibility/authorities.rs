//! Expired certificates of authorities: an instance refuses a whole configuration for one, so they are left out. What time
//! it is says the group's newest change, so that equal groups are written equally.

use serde_json::{Map, Value};

use super::Effect;
use super::write::Report;
use crate::group::{Entity, Group};
use crate::schema::certificate_expiry;
use crate::{EntityId, Kind, Timestamp};

pub(super) const AUTHORITIES: &str = "ca_certificates";

/// Whether a CA certificate had expired at the newest change; says so.
pub(super) fn has_expired(report: &mut Report<'_>, group: &Group, body: &Map<String, Value>) -> bool {
    let certificate = body.get("cert").and_then(Value::as_str);
    let expiry = certificate.and_then(certificate_expiry);
    let Some(expiry) = expiry.filter(|expiry| *expiry < group.clock) else {
        return false;
    };
    let message = format!(
        "it expired at {expiry}, and instances refuse such a certificate: delete it, or put its successor here"
    );
    report.field_named("cert", Effect::EntityLeftOut, message);
    true
}

/// What has to be written again because of the time between a change made when the clock said `since` and the group's
/// newest change: the CA certificates that have expired since, or haven't yet after all where the clock was set back.
pub fn aged(group: &Group, since: Timestamp) -> Vec<(Kind, EntityId)> {
    let Some(kind) = Kind::named(AUTHORITIES) else {
        return Vec::new();
    };
    let (earlier, later) = (since.min(group.clock), since.max(group.clock));
    let has_expired = |entity: &&std::sync::Arc<Entity>| {
        let body = entity.map();
        let expiry = body
            .get("cert")
            .and_then(Value::as_str)
            .and_then(certificate_expiry);
        expiry.is_some_and(|expiry| earlier <= expiry && expiry < later)
    };
    group
        .of_kind(kind)
        .filter(has_expired)
        .map(|entity| (kind, entity.id))
        .collect()
}
