//! Everything + steps = everything, for any history and whichever steps of it an instance of Kong's sync v2 is sent.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_sync::kong::rpc::delta_encodings::DeltaEncodings;
use dataplane_sync::kong::rpc::deltas::{EncodedDeltas, NoDeltas, Projection};
use dataplane_sync::kong::rpc::version::Lineage;
use domain::compatibility::DEFAULT_WORKSPACE;
use domain::group::{Entity, Group};
use domain::{EntityId, GroupId, Kind, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

#[path = "shared/configuration.rs"]
mod configuration;

use configuration::{InMemory, Step};

/// Writes services as they are, but those on "off" aren't sent.
struct Services;

impl Projection for Services {
    fn written(&self, _: &Group, entity: &Entity) -> Result<Option<String>, NoDeltas> {
        let is_on = !entity.body.contains(r#""host":"off""#);
        Ok(is_on.then(|| entity.body.to_string()))
    }

    /// Any could be: it depends on what is written.
    fn affected(&self, group: &Group, _: Kind, _: EntityId) -> Vec<(Kind, EntityId)> {
        group.entities().map(|entity| (entity.kind, entity.id)).collect()
    }

    fn aged(&self, _: &Group, _: Timestamp) -> Vec<(Kind, EntityId)> {
        Vec::new()
    }

    fn knows(&self, kind: Kind) -> bool {
        kind.name() == "services"
    }

    fn preamble(&self) -> Vec<(&'static str, String)> {
        vec![
            ("_format_version", r#""3.0""#.to_owned()),
            (
                "workspaces",
                format!(r#"[{{"id":"{DEFAULT_WORKSPACE}","name":"default"}}]"#),
            ),
            ("parameters", r#"[{"key":"cluster_id","value":"1"}]"#.to_owned()),
        ]
    }
}

fn encodings() -> DeltaEncodings {
    let lineage = Lineage::of(Uuid::from_u128(1), GroupId(Uuid::from_u128(2)), "3.10");
    DeltaEncodings::new(lineage, Arc::new(Services))
}

/// An instance as Kong's `kong/clustering/services/sync/rpc.lua` is one: within an answer it reads what it had before.
#[derive(Clone, Debug, Default, PartialEq)]
struct Instance {
    version: String,
    entities: BTreeMap<(String, String), Value>,
    /// Whose names are whose.
    names: BTreeMap<String, String>,
}

impl Instance {
    fn take(&mut self, encoded: &EncodedDeltas) {
        let text = encoded.compressed.text().unwrap();
        let result: Value = serde_json::from_str(text.strip_suffix('}').unwrap()).unwrap();
        let result = &result["default"];
        let mut after = self.clone();
        if result["full_sync"] == true {
            after = Self::default();
        }
        for delta in result["deltas"].as_array().unwrap() {
            assert_eq!(delta["ws_id"], DEFAULT_WORKSPACE);
            assert_eq!(delta["version"], encoded.leads_to.to_string());
            after.version = delta["version"].as_str().unwrap().to_owned();
            let entity = &delta["entity"];
            let id = [&delta["pk"]["id"], &entity["id"], &entity["key"]];
            let id = id.iter().find_map(|id| id.as_str()).unwrap().to_owned();
            let place = (delta["type"].as_str().unwrap().to_owned(), id.clone());
            if let Some(before) = self.entities.get(&place).filter(|_| result["full_sync"] == false) {
                after.entities.remove(&place);
                after.names.remove(before["name"].as_str().unwrap_or_default());
            }
            if !entity.is_null() {
                after.entities.insert(place, entity.clone());
                after
                    .names
                    .extend(entity["name"].as_str().map(|name| (name.to_owned(), id)));
            }
        }
        *self = after;
    }

    fn of(everything: &EncodedDeltas) -> Self {
        let mut instance = Self::default();
        instance.take(everything);
        instance
    }
}

fn wait<Out>(future: impl Future<Output = Out>) -> Out {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (0..12_u128, "[a-z]{1,3}").prop_map(|(number, host)| Step::Put(number, host));
    let off = (0..12_u128).prop_map(|number| Step::Put(number, "off".to_owned()));
    let delete = (0..12_u128).prop_map(Step::Delete);
    let swap = (0..12_u128, 0..12_u128).prop_map(Step::from);
    prop::collection::vec(prop_oneof![3 => put, 1 => off, 1 => delete, 1 => swap], 1..4)
}

proptest! {
    #[test]
    fn any_steps_lead_to_the_same_as_everything_at_once(
        history in prop::collection::vec((steps(), any::<bool>()), 1..24),
    ) {
        let (configuration, encodings) = (InMemory::new(), encodings());
        let mut instance = Instance::default();
        for (change, asks) in &history {
            configuration.change(change);
            if *asks {
                let update = wait(encodings.since(&configuration.state(), &instance.version, false)).unwrap();
                instance.take(&update);
                prop_assert!(encodings.runs(configuration.state().as_ref(), &instance.version));
            }
        }
        let newest = configuration.state();
        instance.take(&wait(encodings.since(&newest, &instance.version, false)).unwrap());
        let everything = wait(self::encodings().since(&newest, "", false)).unwrap();
        prop_assert!(everything.full_sync);
        let mut expected = Instance::of(&everything);
        expected.version = instance.version.clone();
        prop_assert_eq!(instance, expected);
    }
}

fn with_services(count: u128) -> InMemory {
    let configuration = InMemory::new();
    for number in 0..count {
        configuration.change(&[Step::Put(number, "host".to_owned())]);
    }
    configuration
}

#[test]
fn one_changed_service_among_many_is_a_small_answer() {
    let (configuration, encodings) = (with_services(2_000), encodings());
    let everything = wait(encodings.since(&configuration.state(), "", false)).unwrap();
    let has = everything.leads_to.to_string();
    configuration.change(&[Step::Put(7, "other".to_owned())]);
    let update = wait(encodings.since(&configuration.state(), &has, false)).unwrap();
    assert!(!update.full_sync);
    assert_eq!(update.count, 1);
    assert!(
        update.compressed.size() < 2_000,
        "{} bytes",
        update.compressed.size()
    );
}

#[test]
fn a_deletion_says_which_entity_is_gone() {
    let (configuration, encodings) = (with_services(3), encodings());
    let has = encodings.version_of(configuration.state().as_ref()).to_string();
    configuration.change(&[Step::Delete(1)]);
    let update = wait(encodings.since(&configuration.state(), &has, false)).unwrap();
    let text = update.compressed.text().unwrap();
    let result: Value = serde_json::from_str(text.strip_suffix('}').unwrap()).unwrap();
    let delta = &result["default"]["deltas"][0];
    assert_eq!(delta["type"], "services");
    assert_eq!(delta.get("entity"), Some(&Value::Null));
    assert_eq!(delta["pk"], json!({"id": Uuid::from_u128(1)}));
}

#[test]
fn an_answer_is_encoded_once_however_many_ask_for_it() {
    let (configuration, encodings) = (with_services(3), encodings());
    let has = encodings.version_of(configuration.state().as_ref()).to_string();
    configuration.change(&[Step::Put(1, "other".to_owned())]);
    let state = configuration.state();
    for has in [has.as_str(), ""] {
        let [one, other] = [0, 1].map(|_| wait(encodings.since(&state, has, false)).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}

#[test]
fn an_instance_that_has_the_content_already_gets_nothing() {
    let (configuration, encodings) = (with_services(3), encodings());
    let has = encodings.version_of(configuration.state().as_ref()).to_string();
    for host in ["other", "host"] {
        configuration.change(&[Step::Put(1, host.to_owned())]);
    }
    let state = configuration.state();
    assert!(encodings.runs(state.as_ref(), &has));
    assert_eq!(wait(encodings.since(&state, &has, false)).unwrap().count, 0);
}

#[test]
fn what_an_instance_has_from_elsewhere_is_replaced_by_everything() {
    let (configuration, encodings) = (with_services(3), encodings());
    let state = configuration.state();
    let other_group = Lineage::of(Uuid::from_u128(1), GroupId(Uuid::from_u128(9)), "3.10");
    let other_level = Lineage::of(Uuid::from_u128(1), GroupId(Uuid::from_u128(2)), "3.11");
    for has in [
        "0".repeat(32),
        "f1a744cfbe05c342e2b0c945bcb96d0a".to_owned(),
        other_group.at(3, state.digest()).to_string(),
        other_level.at(3, state.digest()).to_string(),
        String::new(),
    ] {
        assert!(!encodings.runs(state.as_ref(), &has));
        let update = wait(encodings.since(&state, &has, false)).unwrap();
        assert!(update.full_sync, "{has}");
        assert_eq!(update.count, 5, "three services, the workspace, the cluster's id");
    }
}

#[test]
fn names_that_change_hands_are_sent_with_everything() {
    let (configuration, encodings) = (with_services(100), encodings());
    let mut instance = Instance::of(&wait(encodings.since(&configuration.state(), "", false)).unwrap());
    configuration.change(&[Step::from((0, 1))]);
    let update = wait(encodings.since(&configuration.state(), &instance.version, false)).unwrap();
    assert!(update.full_sync);
    instance.take(&update);
    assert_eq!(instance.names["service-0"], Uuid::from_u128(1).to_string());
}

#[test]
fn instances_that_come_while_the_configuration_changes_share_one_encoding() {
    let (configuration, encodings) = (with_services(100), encodings());
    let first = wait(encodings.since(&configuration.state(), "", false)).unwrap();
    configuration.change(&[Step::Put(1, "other".to_owned())]);
    let second = wait(encodings.since(&configuration.state(), "", false)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let on = wait(encodings.since(&configuration.state(), &second.leads_to.to_string(), false)).unwrap();
    assert_eq!((on.full_sync, on.count), (false, 1));
}
