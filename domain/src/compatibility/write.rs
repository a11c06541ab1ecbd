//! The journey of an entity to its text at a level.

use serde_json::{Map, Value};

use super::path::Path;
use super::switched_off::is_switched_off;
use super::{Dialect, Effect, Finding, Incompatibility, Level, Release};
use super::{authorities, availability, field_lists, projection, rewrite, routing};
use crate::group::{Entity, Group};

/// What people call an entity, by the first of these fields it has; none of them is secret.
const NAMES: [&str; 4] = ["name", "prefix", "target", "kid"];

/// How a text begins whose value a vault has.
const VAULT_REFERENCE: &str = "\"{vault://";

/// What goes to instances of a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The JSON object as it stands in the collection of its kind; none: not sent.
    pub text: Option<String>,
    /// What was lost or changed on the way.
    pub findings: Vec<Finding>,
}

/// An entity as instances of this level receive it.
pub fn write(group: &Group, entity: &Entity, level: &Level) -> Written {
    if availability::is_never_sent(entity.kind) {
        return Written::default();
    }
    let body = entity.map();
    if is_switched_off(group, entity, &body) {
        return Written::default();
    }
    let mut report = Report::new(entity, &body, level);
    let text = text(group, entity, body, &mut report);
    let findings = report.findings;
    let is_withheld = findings
        .iter()
        .any(|finding| matches!(finding.effect, Effect::Withheld(_)));
    Written {
        text: text.filter(|_| !is_withheld),
        findings,
    }
}

fn text(
    group: &Group,
    entity: &Entity,
    mut body: Map<String, Value>,
    report: &mut Report<'_>,
) -> Option<String> {
    if entity.erased {
        let message = "its personal data was erased: delete it".to_owned();
        report.entity(Effect::EntityLeftOut, message);
        return None;
    }
    let fields = availability::fields(report, entity.kind, &body)?;
    match entity.kind.name() {
        authorities::AUTHORITIES if authorities::has_expired(report, group, &body) => return None,
        "routes" => routing::check(report, &body),
        _ => {}
    }
    if report.level.release < Release::V3_0 && entity.body.contains(VAULT_REFERENCE) {
        let message = "Kong 2.8 can't look into vaults and would take the reference itself for the secret: write the value, or \
                       update the instance";
        let effect = Effect::Withheld(Incompatibility::Configuration);
        report.entity(effect, message.to_owned());
    }
    // Sent in another form than it is kept in.
    body.remove("ttl");
    let schema = group.plugins.record_for(entity.kind.schema(), &body);
    rewrite::rewrite(report, &mut body);
    projection::project(report, &mut body, fields, schema);
    if let Some(ttl) = time_to_live(entity, report.level().release) {
        body.insert("ttl".to_owned(), ttl.into());
    }
    Some(Value::Object(body).to_string())
}

/// Since 3.5 the moment at which it expires, in seconds since the epoch. Before, the seconds that were set, so that
/// the text doesn't depend on the time: such an instance keeps the entity until its deletion is pushed.
fn time_to_live(entity: &Entity, release: Release) -> Option<i64> {
    let expires_at = entity.expires_at?;
    match release >= Release::V3_5 {
        true => Some(expires_at.seconds()),
        false => entity.ttl,
    }
}

/// An entity being written for a level, and what was found on the way.
pub(super) struct Report<'e> {
    entity: &'e Entity,
    level: &'e Level,
    /// As the field lists and rules call it.
    owner: String,
    name: Option<String>,
    findings: Vec<Finding>,
}

impl<'e> Report<'e> {
    fn new(entity: &'e Entity, body: &Map<String, Value>, level: &'e Level) -> Self {
        let text = |field: &str| body.get(field)?.as_str().map(str::to_owned);
        let kind = entity.kind.name();
        let owner = match text("name") {
            Some(plugin) if kind == "plugins" => format!("{kind}/{plugin}"),
            _ => kind.to_owned(),
        };
        // What a consumer is called is erased with the consumer; findings are kept elsewhere.
        let is_personal = entity.kind.schema().owned;
        let name = NAMES.into_iter().filter(|_| !is_personal).find_map(text);
        Self {
            entity,
            level,
            owner,
            name,
            findings: Vec::new(),
        }
    }

    pub(super) const fn level(&self) -> &'e Level {
        self.level
    }

    pub(super) fn release(&self) -> &'static str {
        self.level.release.name()
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.level.dialect
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// The default of a field in the first later release that has it.
    pub(super) fn later_default(&self, path: &str) -> Option<&'static Value> {
        field_lists::later_default(&self.owner, path, self.level.release)
    }

    /// Something about the entity as a whole.
    pub(super) fn entity(&mut self, effect: Effect, message: String) {
        self.add(None, effect, message);
    }

    /// Something about a field.
    pub(super) fn field(&mut self, at: Path<'_>, effect: Effect, message: String) {
        self.add(Some(at.to_string()), effect, message);
    }

    /// The same, by the field's dotted name.
    pub(super) fn field_named(&mut self, field: &str, effect: Effect, message: String) {
        self.add(Some(field.to_owned()), effect, message);
    }

    fn add(&mut self, field: Option<String>, effect: Effect, message: String) {
        self.findings.push(Finding {
            kind: self.entity.kind,
            id: self.entity.id,
            name: self.name.clone(),
            field,
            effect,
            message,
        });
    }
}
