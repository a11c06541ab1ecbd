//! Documents for Kong's data planes: a document that followed the changes is the one that is written from nothing, and
//! what is in it is what its hashes say.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "shared/configuration.rs"]
mod configuration;

use std::io::Read as _;

use configuration::{InMemory, Step};
use dataplane_sync::configurations::ConfigurationState;
use dataplane_sync::kong::document::{Document, Envelope, Frame};
use domain::compatibility::{Dialect, Level, Release};
use domain::{GroupId, Timestamp};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

const GROUP: GroupId = GroupId(Uuid::from_u128(0x61));
const AT: Timestamp = Timestamp(1_795_277_548_260);

fn level(release: Release, state: &dyn ConfigurationState) -> Level {
    Level::with_all_plugins(release, Dialect::Document, state.group())
}

fn written(configuration: &InMemory, release: Release) -> Frame {
    let state = configuration.state();
    Document::of(level(release, state.as_ref()), GROUP, state.as_ref()).frame(Envelope::Reconfigure, AT)
}

/// The message in a frame that has its WebSocket head.
fn message(frame: &Frame) -> Value {
    let member = &frame.bytes[frame.bytes.len() - frame.payload..];
    let mut text = String::new();
    let mut decoder = GzDecoder::new(member);
    decoder.read_to_string(&mut text).unwrap();
    assert!(
        decoder.into_inner().is_empty(),
        "one member and nothing behind it"
    );
    assert_eq!(text.len(), frame.json);
    serde_json::from_str(&text).unwrap()
}

fn put(number: u128, host: &str) -> Step {
    Step::Put(number, host.to_owned())
}

#[test]
fn an_empty_group_has_its_cluster_id_all_the_same() {
    let message = message(&written(&InMemory::new(), Release::NEWEST));
    let table = &message["config_table"];
    assert_eq!(table["parameters"][0]["value"], Value::from(GROUP.0.to_string()));
    assert_eq!(table["_format_version"], "3.0");
    assert_eq!(table.get("services"), None, "empty collections are left out");
    assert_eq!(message["timestamp"], 1_795_277_548.26);
}

#[test]
fn the_message_has_six_hashes_and_the_same_one_in_its_place() {
    let configuration = InMemory::new();
    configuration.change(&[put(1, "a"), put(2, "b")]);
    let frame = written(&configuration, Release::NEWEST);
    let message = message(&frame);
    assert_eq!(message["type"], "reconfigure");
    assert_eq!(message["config_hash"], *frame.hashes.config);
    let hashes = message["hashes"].as_object().unwrap();
    assert_eq!(
        hashes.keys().collect::<Vec<_>>(),
        ["config", "routes", "services", "plugins", "upstreams", "targets"]
    );
    assert!(hashes.values().all(|hash| hash.as_str().unwrap().len() == 32));
    assert_eq!(hashes["routes"], "0".repeat(32), "no routes");
    assert_ne!(hashes["services"], "0".repeat(32));
    assert_eq!(message["config_table"]["services"].as_array().unwrap().len(), 2);
}

#[test]
fn equal_configurations_have_equal_hashes_and_another_release_has_others() {
    let (one, other) = (InMemory::new(), InMemory::new());
    one.change(&[put(1, "a"), put(2, "b")]);
    other.change(&[put(2, "x")]);
    other.change(&[put(2, "b"), put(1, "a")]);
    let hashes = |configuration, release| written(configuration, release).hashes;
    assert_eq!(hashes(&one, Release::NEWEST), hashes(&other, Release::NEWEST));
    assert_ne!(
        hashes(&one, Release::NEWEST).config,
        hashes(&one, Release::OLDEST).config
    );
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..40_u128, "[a-z]{1,400}").prop_map(|(number, host)| put(number, &host)),
        1 => (0..40_u128).prop_map(Step::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn following_the_changes_leads_to_the_same_document(
        changes in prop::collection::vec(prop::collection::vec(step(), 1..30), 1..12),
    ) {
        let configuration = InMemory::new();
        let state = configuration.state();
        let mut followed = Document::of(level(Release::NEWEST, state.as_ref()), GROUP, state.as_ref());
        for change in changes {
            let before = configuration.state().version();
            configuration.change(&change);
            let state = configuration.state();
            followed.advance(state.as_ref(), &state.changed_since(before).unwrap());
            let (followed, fresh) = (followed.frame(Envelope::Reconfigure, AT), written(&configuration, Release::NEWEST));
            prop_assert_eq!(&followed.hashes, &fresh.hashes);
            prop_assert_eq!(message(&followed), message(&fresh));
        }
    }
}
