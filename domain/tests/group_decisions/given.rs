//! A group under test, and commands to it in short.

use std::sync::Arc;

use domain::declarative::{self, DumpOptions};
use domain::group::{
    Action, Condition, Decision, Group, GroupCommand, GroupError, GroupEvent, OmittedChildren, Operation,
    Selector, Target, decide, hashing,
};
use domain::schema::evaluation::{self, Job, Outcome};
use domain::schema::{Judgements, Secrets};
use domain::{Actor, Change, Context, EntityId, Kind, Timestamp};
use serde_json::{Map, Value};

/// A group under test: every accepted command is folded as the next change.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) group: Group,
    commands: u64,
}

impl Given {
    /// A group as it is.
    pub(crate) const fn at(group: Group) -> Self {
        Self {
            group,
            commands: 1_000,
        }
    }

    pub(crate) fn when(&mut self, command: GroupCommand) -> Result<Decision, GroupError> {
        self.commands += 1;
        let at = Timestamp(1_800_000_000_000 + self.commands as i64 * 1000);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.commands.to_le_bytes());
        let mut salts = Context::new(at, [7; 32]);
        let command = hashing::hash(command, &self.group, &mut salts);
        let decision = judged(|judgements| {
            let mut context = Context::new(at, seed).knowing(judgements);
            decide(&self.group, &command, &mut context)
        })?;
        if !decision.events.is_empty() {
            self.group
                .apply(&change(self.group.version + 1, at, decision.events.clone()));
        }
        Ok(decision)
    }

    /// As if a command had been here: those after it are the same with or without it.
    pub(crate) const fn skip(&mut self) {
        self.commands += 1;
    }

    pub(crate) fn post(&mut self, collection: &str, body: Value) -> Result<Decision, GroupError> {
        self.when(operate(Action::Create(object(body)), target(collection, None)))
    }

    pub(crate) fn put(&mut self, collection: &str, key: &str, body: Value) -> Result<Decision, GroupError> {
        self.when(operate(Action::Put(object(body)), target(collection, Some(key))))
    }

    pub(crate) fn delete(&mut self, collection: &str, key: &str) -> Result<Decision, GroupError> {
        self.when(operate(Action::Delete, target(collection, Some(key))))
    }

    pub(crate) fn erase(&mut self, consumer: EntityId) -> Result<Decision, GroupError> {
        self.when(GroupCommand::EraseConsumer {
            consumer,
            condition: Condition::Always,
        })
    }

    pub(crate) fn declare(&mut self, document: &Value, prune: bool) -> Result<Decision, GroupError> {
        let declaration = Arc::new(declarative::parse(document).expect("a declarative file"));
        self.when(GroupCommand::Declare {
            declaration,
            prune,
            expected_version: None,
        })
    }

    pub(crate) fn dump(&self) -> Value {
        declarative::dump(self.group.entities(), &DumpOptions::default())
    }
}

/// Tries something with what functions of uploaded schemas say, as the program does; here they run in place.
#[expect(
    clippy::disallowed_methods,
    reason = "the schemas of these tests are no stranger's"
)]
pub(crate) fn judged<T>(
    mut attempt: impl FnMut(Judgements) -> Result<T, GroupError>,
) -> Result<T, GroupError> {
    let mut known = Judgements::default();
    loop {
        let questions = match attempt(known.clone()) {
            Err(GroupError::Unjudged(questions)) => questions,
            decided => return decided,
        };
        for question in questions {
            let asked = (Arc::clone(&question.place), question.value.clone());
            let job = Job::Judge {
                source: Arc::clone(&question.source),
                questions: vec![asked],
            };
            let Outcome::Judged(verdicts) = evaluation::run(&job) else {
                panic!("a verdict was asked for");
            };
            known.note(&question, verdicts.into_iter().next().expect("one verdict"));
        }
    }
}

pub(crate) fn change(version: u64, at: Timestamp, events: Vec<GroupEvent>) -> Change<GroupEvent> {
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

pub(crate) fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

pub(crate) fn target(collection: &str, selector: Option<&str>) -> Target {
    let kind = Kind::in_collection(collection).expect("a collection");
    Target {
        kind,
        selector: selector.map(Selector::parse),
        parent: None,
    }
}

pub(crate) fn operate(action: Action, target: Target) -> GroupCommand {
    transact(vec![(action, target)])
}

pub(crate) fn transact(steps: Vec<(Action, Target)>) -> GroupCommand {
    let operation = |(action, target)| Operation {
        action,
        target,
        condition: Condition::Always,
        omitted_children: OmittedChildren::Delete,
        secrets: Secrets::Plain,
    };
    GroupCommand::Operate {
        operations: steps.into_iter().map(operation).collect(),
        expected_version: None,
    }
}

pub(crate) fn names(decision: &Decision) -> Vec<String> {
    let name = |event: &GroupEvent| match event {
        GroupEvent::EntityCreated { entity } => format!("created {}", entity.kind.name()),
        GroupEvent::EntityUpdated { entity, changed } => {
            format!("updated {} {}", entity.kind.name(), changed.join(","))
        }
        GroupEvent::EntityDeleted { kind, .. } => format!("deleted {}", kind.name()),
        GroupEvent::ConsumerErased { .. } => "erased".to_owned(),
        GroupEvent::GroupSealed => "sealed".to_owned(),
        GroupEvent::GroupUnsealed => "unsealed".to_owned(),
    };
    decision.events.iter().map(name).collect()
}
