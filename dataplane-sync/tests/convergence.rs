//! Snapshot + deltas = snapshot, for any history and whichever steps of it an instance is sent.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;

use dataplane_sync::agent::replica::{Origin, Replica};
use dataplane_sync::encoding::{Encoded, Encodings};
use dataplane_sync::native::frames::{InstanceFrame, decode_server};
use dataplane_sync::native::parts::Assembler;
use domain::GroupId;
use proptest::prelude::*;
use uuid::Uuid;

#[path = "shared/configuration.rs"]
mod configuration;

use configuration::{InMemory, Step};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (0..12_u128, "[a-z]{1,3}").prop_map(|(number, host)| Step::Put(number, host));
    let delete = (0..12_u128).prop_map(Step::Delete);
    let swap = (0..12_u128, 0..12_u128).prop_map(Step::from);
    prop::collection::vec(prop_oneof![3 => put, 1 => delete, 1 => swap], 1..4)
}

fn empty() -> Replica {
    Replica::of(Origin {
        log: Uuid::from_u128(1),
        group: GroupId(Uuid::from_u128(2)),
    })
}

/// Gives a replica what was sent; answers its answer.
fn give(replica: &mut Replica, update: &Encoded) -> Option<InstanceFrame> {
    let mut parts = Assembler::default();
    let mut answer = None;
    for message in &update.messages {
        if let Some(frame) = parts.take(decode_server(message).unwrap()).unwrap() {
            answer = replica.answer(&frame);
        }
    }
    answer
}

fn wait<Out>(future: impl Future<Output = Out>) -> Out {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

proptest! {
    #[test]
    fn any_steps_lead_to_the_same_configuration_as_the_whole(
        history in prop::collection::vec((steps(), any::<bool>()), 1..24),
    ) {
        let configuration = InMemory::new();
        let encodings = Encodings::default();
        let mut replica = empty();
        for (change, sent) in &history {
            configuration.change(change);
            if *sent {
                let update = wait(encodings.update(&configuration.state(), replica.applied()));
                let first = replica.applied().is_none();
                let answer = give(&mut replica, &update);
                prop_assert_eq!(answer, Some(InstanceFrame::Ack(update.leads_to)));
                prop_assert_eq!(update.snapshot, first, "after the first only steps travel");
            }
        }
        let newest = configuration.state();
        let update = wait(encodings.update(&newest, replica.applied()));
        give(&mut replica, &update);
        let mut whole = empty();
        give(&mut whole, &wait(Encodings::default().update(&newest, None)));
        prop_assert_eq!(replica.applied(), whole.applied());
        prop_assert!(replica.entities().eq(whole.entities()));
        prop_assert_eq!(replica.len(), newest.group().len());
    }
}

#[test]
fn an_update_is_encoded_once_however_many_ask_for_it() {
    let configuration = InMemory::new();
    configuration.change(&[Step::Put(1, "a".to_owned())]);
    let encodings = Encodings::default();
    let first = wait(encodings.update(&configuration.state(), None));
    assert!(Arc::ptr_eq(
        &first,
        &wait(encodings.update(&configuration.state(), None))
    ));
    configuration.change(&[Step::Put(2, "b".to_owned())]);
    let has = Some(first.leads_to);
    let step = wait(encodings.update(&configuration.state(), has));
    assert!(Arc::ptr_eq(
        &step,
        &wait(encodings.update(&configuration.state(), has))
    ));
}

#[test]
fn an_instance_with_content_that_never_was_gets_everything() {
    let configuration = InMemory::new();
    configuration.change(&[Step::Put(1, "a".to_owned())]);
    configuration.change(&[Step::Put(1, "b".to_owned())]);
    let newest = configuration.state();
    let has = dataplane_sync::Applied {
        version: 1,
        digest: domain::Digest([7; 32]),
    };
    assert!(wait(Encodings::default().update(&newest, Some(has))).snapshot);
}

#[test]
fn a_configuration_larger_than_a_message_travels_in_parts() {
    let configuration = InMemory::new();
    let steps: Vec<Step> = (0..60_000)
        .map(|number| Step::Put(number, blake3::hash(&number.to_le_bytes()).to_hex().to_string()))
        .collect();
    configuration.change(&steps);
    let update = wait(Encodings::default().update(&configuration.state(), None));
    assert!(update.messages.len() > 1, "{} bytes", update.size());
    let mut replica = empty();
    assert_eq!(
        give(&mut replica, &update),
        Some(InstanceFrame::Ack(update.leads_to))
    );
    assert_eq!(replica.len(), 60_000);
}

#[test]
fn a_step_that_leads_elsewhere_is_not_believed() {
    let configuration = InMemory::new();
    configuration.change(&[Step::Put(1, "a".to_owned())]);
    let mut replica = empty();
    give(
        &mut replica,
        &wait(Encodings::default().update(&configuration.state(), None)),
    );
    let delta = dataplane_sync::native::frames::Delta {
        from: 1,
        to: 2,
        at: domain::Timestamp(2),
        digest: domain::Digest([9; 32]),
        upserts: Vec::new(),
        deletes: Vec::new(),
    };
    let frame = dataplane_sync::native::frames::ServerFrame::Delta(delta);
    assert!(matches!(
        replica.answer(&frame),
        Some(InstanceFrame::Refetch { .. })
    ));
    assert_eq!(replica.applied(), None, "it can't be built upon any more");
}
