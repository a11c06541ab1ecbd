//! A group whose entities are written for instances.

use domain::compatibility::{Dialect, Effect, Incompatibility, Level, Release, Written, write};
use domain::group::{
    Action, Condition, Group, GroupCommand, GroupEvent, OmittedChildren, Operation, Selector, Target, decide,
    hashing,
};
use domain::schema::Secrets;
use domain::{Actor, Change, Context, EntityId, Kind, Timestamp};
use serde_json::{Map, Value};

/// The first change's time, in seconds.
pub(crate) const BEGINNING: i64 = 1_800_000_000;

/// A group: every command is accepted and folded as the next change.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) group: Group,
    /// Seconds by which the next change is later than usual.
    pub(crate) elapsed: i64,
    commands: u64,
}

impl Given {
    pub(crate) fn put(&mut self, kind: &str, body: Value) -> EntityId {
        self.commands += 1;
        let id = EntityId(uuid::Uuid::from_u128(u128::from(self.commands)));
        self.put_at(kind, id, body);
        id
    }

    pub(crate) fn put_at(&mut self, kind: &str, id: EntityId, body: Value) {
        let body = body.as_object().expect("an object").clone();
        self.operate(Action::Put(body), kind, id);
    }

    pub(crate) fn delete(&mut self, kind: &str, id: EntityId) {
        self.operate(Action::Delete, kind, id);
    }

    fn operate(&mut self, action: Action, kind: &str, id: EntityId) {
        let target = Target {
            kind: kind_named(kind),
            selector: Some(Selector::parse(&id.to_string())),
            parent: None,
        };
        let operation = Operation {
            action,
            target,
            condition: Condition::Always,
            omitted_children: OmittedChildren::Delete,
            secrets: Secrets::Plain,
        };
        self.when(GroupCommand::Operate {
            operations: vec![operation],
            expected_version: None,
        });
    }

    fn when(&mut self, command: GroupCommand) {
        let version = self.group.version + 1;
        let at = Timestamp((BEGINNING + version as i64 + self.elapsed) * 1000);
        let command = hashing::hash(command, &self.group, &mut Context::new(at, [7; 32]));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&version.to_le_bytes());
        let decision = decide(&self.group, &command, &mut Context::new(at, seed));
        let decision = decision.unwrap_or_else(|error| panic!("{error}: {command:?}"));
        self.group.apply(&change(version, at, decision.events));
    }

    pub(crate) fn level(&self, release: &str) -> Level {
        level(&self.group, release)
    }

    /// An entity as instances of this release receive it.
    pub(crate) fn written(&self, kind: &str, id: EntityId, release: &str) -> Written {
        self.written_at(kind, id, &self.level(release))
    }

    pub(crate) fn written_at(&self, kind: &str, id: EntityId, level: &Level) -> Written {
        let entity = self.group.entity(kind_named(kind), id).expect("an entity");
        write(&self.group, entity, level)
    }

    /// The same, where it is sent.
    pub(crate) fn sent(&self, kind: &str, id: EntityId, release: &str) -> Map<String, Value> {
        let written = self.written(kind, id, release);
        parsed(&written).unwrap_or_else(|| panic!("{kind} isn't sent: {:?}", written.findings))
    }
}

pub(crate) fn level(group: &Group, release: &str) -> Level {
    let release = Release::named(release).expect("a release");
    Level::with_all_plugins(release, Dialect::Document, group)
}

pub(crate) fn kind_named(name: &str) -> Kind {
    Kind::named(name).expect("a kind")
}

pub(crate) fn parsed(written: &Written) -> Option<Map<String, Value>> {
    let text = written.text.as_ref()?;
    Some(serde_json::from_str(text).expect("a JSON object"))
}

/// Effects and the fields they are about.
pub(crate) fn effects(written: &Written) -> Vec<(&'static str, String)> {
    let finding = |finding: &domain::compatibility::Finding| {
        let field = finding.field.clone().unwrap_or_default();
        (finding.effect.name(), field)
    };
    written.findings.iter().map(finding).collect()
}

pub(crate) fn is_withheld(written: &Written, why: Incompatibility) -> bool {
    let withheld = Effect::Withheld(why);
    written.text.is_none() && written.findings.iter().any(|finding| finding.effect == withheld)
}

fn change(version: u64, at: Timestamp, events: Vec<GroupEvent>) -> Change<GroupEvent> {
    Change {
        version,
        at,
        clock: at,
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: None,
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: 1,
        events,
    }
}
