//! How fast documents for Kong's data planes are written here: the first one of a group, and the next one after a change.
//!
//! `cargo bench -p dataplane-sync --bench document_speed [-- SERVICES …]`

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

use std::sync::Arc;
use std::time::Instant;

use dataplane_sync::configurations::ConfigurationState;
use dataplane_sync::kong::document::{Document, Envelope};
use domain::compatibility::{Dialect, Level, Release};
use domain::declarative;
use domain::group::{Group, GroupCommand, decide};
use domain::{Actor, Change, Context, Digest, EntityId, GroupId, Kind, Timestamp, Version};
use serde_json::{Value, json};
use uuid::Uuid;

const GROUP: GroupId = GroupId(Uuid::from_u128(0x61));
const AT: Timestamp = Timestamp(1_800_000_000_000);
/// How many changes are measured.
const CHANGES: usize = 50;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|size| size.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![1_000, 10_000, 50_000]
    } else {
        sizes
    };
    println!("services + routes, and a tenth as many plugins; milliseconds");
    println!(
        "{:>9} {:>9} {:>9} {:>10} {:>10} {:>10}",
        "services", "JSON kB", "frame kB", "first", "change p50", "change max"
    );
    for size in sizes {
        measure(size);
    }
}

fn measure(services: usize) {
    let mut state = Folded::of(&declared(services, ""));
    let level = Level::with_all_plugins(Release::NEWEST, Dialect::Document, &state.0);
    let began = Instant::now();
    let mut document = Document::of(level, GROUP, &state);
    let frame = document.frame(Envelope::Reconfigure, AT);
    let first = began.elapsed();
    let mut changes: Vec<_> = (0..CHANGES)
        .map(|number| {
            let touched = state.change(number * 7 % services, &format!("/changed/{number}"));
            let began = Instant::now();
            document.advance(&state, &[touched]);
            let next = document.frame(Envelope::Reconfigure, AT);
            assert_ne!(next.hashes.config, frame.hashes.config);
            began.elapsed()
        })
        .collect();
    changes.sort_unstable();
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    println!(
        "{services:>9} {:>9} {:>9} {:>10.1} {:>10.2} {:>10.2}",
        frame.json / 1000,
        frame.payload / 1000,
        millis(first),
        millis(changes[CHANGES / 2]),
        millis(changes[CHANGES - 1]),
    );
}

/// Services with a route each, and a plugin on every tenth of them.
fn declared(services: usize, path: &str) -> Value {
    let service = |number: usize| {
        let id = blake3::hash(&number.to_le_bytes());
        let random = &id.to_hex()[..12];
        let mut service = json!({
            "name": format!("orders-{number}-{random}"), "host": format!("orders-{random}.internal.example"), "port": 1024 + number % 60_000,
            "path": format!("/api{path}/{random}"), "tags": [format!("team-{}", number % 40), "production"],
            "routes": [{"name": format!("orders-{number}"), "paths": [format!("/v1/{random}/orders"), format!("/v2/{random}")], "methods": ["GET", "POST"]}],
        });
        if number.is_multiple_of(10) {
            service["plugins"] = json!([{"name": "rate-limiting", "config": {"minute": 10 + number % 500, "policy": "local"}}]);
        }
        service
    };
    json!({"_format_version": "3.0", "services": (0..services).map(service).collect::<Vec<_>>()})
}

/// A folded group.
struct Folded(Group);

impl Folded {
    fn of(document: &Value) -> Self {
        let mut state = Self(Group::default());
        let declaration = declarative::parse(document).expect("the document is a declarative file");
        state.decide(&GroupCommand::Declare {
            declaration: Arc::new(declaration),
            prune: false,
            expected_version: None,
        });
        state
    }

    /// Gives a service another path; answers which it is.
    fn change(&mut self, number: usize, path: &str) -> (Kind, EntityId) {
        let services = Kind::named("services").expect("a kind");
        let entity = self
            .0
            .of_kind(services)
            .nth(number)
            .expect("so many services")
            .clone();
        let mut body = entity.map();
        body.insert("path".to_owned(), json!(path));
        let changed = domain::group::Entity::from_map(services, entity.id, &body);
        let changed = domain::group::GroupEvent::EntityUpdated {
            entity: Arc::new(changed),
            changed: vec!["path".to_owned()],
        };
        self.fold(vec![changed]);
        (services, entity.id)
    }

    fn decide(&mut self, command: &GroupCommand) {
        let decision =
            decide(&self.0, command, &mut Context::new(AT, [7; 32])).expect("the command is accepted");
        self.fold(decision.events);
    }

    fn fold(&mut self, events: Vec<domain::group::GroupEvent>) {
        let version = self.0.version + 1;
        self.0.apply(&Change {
            version,
            at: AT,
            clock: AT,
            actor: Actor::System {
                part: "bench".to_owned(),
            },
            reason: None,
            request_id: None,
            source: None,
            idempotency: None,
            catalogue: 1,
            events,
        });
    }
}

impl ConfigurationState for Folded {
    fn group(&self) -> &Group {
        &self.0
    }

    fn digest(&self) -> Digest {
        Digest::ZERO
    }

    fn changed_since(&self, _version: Version) -> Option<Vec<(Kind, EntityId)>> {
        None
    }

    fn digest_at(&self, _version: Version) -> Option<Digest> {
        None
    }
}
