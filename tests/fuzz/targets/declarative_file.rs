//! A declarative file, in JSON or YAML, from its text to a group's configuration.
//!
//! A file that was taken is no change when it comes again, and neither is the configuration as it is dumped.
#![no_main]

use std::sync::Arc;

use api::http::read_declarative_file;
use domain::declarative::{Declaration, Document, DumpOptions, dump, parse};
use domain::group::{Group, GroupCommand, GroupError, GroupEvent, decide, hashing};
use domain::{Actor, Change, Context, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let read = match choice % 2 {
        0 => json(rest),
        _ => read_declarative_file(rest),
    };
    if let Some(declaration) = read.and_then(|document| parse(document).ok()) {
        declared(&Arc::new(declaration), choice & 2 != 0);
    }
});

/// A document read as it comes is the one that its values make.
fn json(text: &[u8]) -> Option<Document> {
    let document: Document = serde_json::from_slice(text).ok()?;
    let value: Value = serde_json::from_slice(text).ok()?;
    assert_eq!(parse(document.clone()), parse(&value));
    Some(document)
}

fn declared(file: &Arc<Declaration>, prune: bool) {
    let mut group = Group::default();
    if declare(&mut group, file, prune, 1).is_err() {
        return;
    }
    let events = declare(&mut group, file, prune, 2);
    assert_eq!(events, Ok(Vec::new()), "the same file again is no change");
    let dumped =
        parse(&dump(group.entities(), &DumpOptions::default())).expect("a dump is a declarative file");
    let events = declare(&mut group, &Arc::new(dumped), true, 3);
    assert_eq!(events, Ok(Vec::new()), "a dump is no change");
}

fn declare(
    group: &mut Group,
    file: &Arc<Declaration>,
    prune: bool,
    number: u8,
) -> Result<Vec<GroupEvent>, GroupError> {
    let at = Timestamp(1_767_225_600_000 + i64::from(number));
    let mut context = Context::new(at, [number; 32]);
    let command = GroupCommand::Declare {
        declaration: Arc::clone(file),
        prune,
        expected_version: None,
    };
    let command = hashing::hash(command, group, &mut context);
    let events = decide(group, &command, &mut context)?.events;
    if !events.is_empty() {
        group.apply(&change(group.version + 1, at, events.clone()));
    }
    Ok(events)
}

fn change(version: u64, at: Timestamp, events: Vec<GroupEvent>) -> Change<GroupEvent> {
    Change {
        version,
        at,
        clock: at,
        actor: Actor::System {
            part: "fuzz".to_owned(),
        },
        reason: None,
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: 1,
        events,
    }
}
