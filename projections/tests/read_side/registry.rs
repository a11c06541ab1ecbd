//! Organizations, groups, tokens and observed nodes.

use std::collections::BTreeMap;

use domain::organization::{GroupRecord, OrganizationEvent, TokenRecord};
use domain::state_store::StoredState;
use domain::system::SystemEvent;
use domain::token::{Role, TokenHash};
use domain::{Boundary, Digest, GroupId, NodeId, OrganizationId, Position, Timestamp, TokenId};
use projections::{GroupFilter, GroupSelector, GroupSort, ObservedNode, Page};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, group, kind};

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(99));
const FIRST_PAGE: Page = Page { number: 1, size: 10 };

fn record(id: GroupId, name: &str, labels: &[(&str, &str)]) -> GroupRecord {
    let at = Timestamp(id.0.as_u128() as i64);
    GroupRecord {
        id,
        name: name.to_owned(),
        description: None,
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        settings: domain::organization::GroupSettings::default(),
        runtime_type: None,
        created_at: at,
        updated_at: at,
        deleted_at: None,
        purged_at: None,
        touched: 0,
    }
}

async fn registered() -> World {
    let mut world = World::new();
    let registered = SystemEvent::OrganizationRegistered {
        id: ORGANIZATION,
        name: "Acme".to_owned(),
    };
    world.organization(Boundary::System, 1, vec![registered]).await;
    let groups = [
        record(group(1), "default", &[]),
        record(group(2), "us-west", &[("env", "prod"), ("team", "red")]),
        record(group(3), "us-east", &[("env", "test")]),
    ];
    for (group, version) in groups.into_iter().zip(1..) {
        let created = OrganizationEvent::GroupCreated { group };
        world
            .organization(Boundary::Organization(ORGANIZATION), version, vec![created])
            .await;
    }
    world
}

#[tokio::test]
async fn groups_are_listed_filtered_and_sorted() {
    let mut world = registered().await;
    world
        .post(group(2), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    let listed = async |filter: GroupFilter, sort| {
        let page = views
            .groups(ORGANIZATION, &filter, sort, FIRST_PAGE)
            .await
            .expect("a query");
        page.items
            .into_iter()
            .map(|row| row.record.name)
            .collect::<Vec<_>>()
    };
    let contains = |text: &str| GroupFilter {
        name_contains: Some(text.to_owned()),
        ..GroupFilter::default()
    };
    let labelled = |key: &str, value: Option<&str>| GroupFilter {
        labels: vec![(key.to_owned(), value.map(str::to_owned))],
        ..GroupFilter::default()
    };
    assert_eq!(
        listed(contains("US-"), GroupSort::Name).await,
        ["us-east", "us-west"]
    );
    assert_eq!(
        listed(contains(""), GroupSort::CreatedDescending).await,
        ["us-east", "us-west", "default"]
    );
    assert_eq!(
        listed(labelled("env", None), GroupSort::default()).await,
        ["us-west", "us-east"]
    );
    assert_eq!(
        listed(labelled("env", Some("prod")), GroupSort::default()).await,
        ["us-west"]
    );
    let second = Page { number: 2, size: 2 };
    let page = views
        .groups(
            ORGANIZATION,
            &GroupFilter::default(),
            GroupSort::default(),
            second,
        )
        .await
        .expect("a query");
    assert_eq!((page.items.len(), page.total), (1, 3));
    let named = GroupSelector::Name("us-west".to_owned());
    let row = views
        .group(ORGANIZATION, &named)
        .await
        .expect("a query")
        .expect("a group");
    assert_eq!((row.version, row.record.touched), (1, 2));
    assert_eq!(row.entities, BTreeMap::from([(kind("services"), 1)]));
    assert_eq!(
        views.organization(ORGANIZATION).await,
        Ok(Some("Acme".to_owned()))
    );
    assert_eq!(
        views.organizations().await,
        Ok(vec![(ORGANIZATION, "Acme".to_owned())])
    );
}

#[tokio::test]
async fn a_deleted_group_is_found_by_id_only_and_its_name_is_free() {
    let mut world = registered().await;
    let deleted = GroupRecord {
        deleted_at: Some(Timestamp(5)),
        ..record(group(2), "us-west", &[])
    };
    let boundary = Boundary::Organization(ORGANIZATION);
    world
        .organization(
            boundary,
            4,
            vec![OrganizationEvent::GroupDeleted { group: deleted }],
        )
        .await;
    let reused = record(group(4), "us-west", &[]);
    let running = world.opened().await;
    let views = running.projections.views();
    let named = GroupSelector::Name("us-west".to_owned());
    assert_eq!(views.group(ORGANIZATION, &named).await, Ok(None));
    let by_id = views
        .group(ORGANIZATION, &GroupSelector::Id(group(2)))
        .await
        .expect("a query");
    assert_eq!(by_id.map(|row| row.record.touched), Some(4));
    world
        .organization(
            boundary,
            5,
            vec![OrganizationEvent::GroupCreated { group: reused }],
        )
        .await;
    running.caught_up(&world).await;
    let holder = views
        .group(ORGANIZATION, &named)
        .await
        .expect("a query")
        .expect("a group");
    assert_eq!(holder.record.id, group(4));
    let filter = GroupFilter {
        deleted: true,
        ..GroupFilter::default()
    };
    let page = views
        .groups(ORGANIZATION, &filter, GroupSort::default(), FIRST_PAGE)
        .await
        .expect("a query");
    assert_eq!(page.total, 1);
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_and_knows_that_it_was_revoked() {
    let mut world = registered().await;
    let token = TokenRecord {
        id: TokenId(Uuid::from_u128(7)),
        name: "ci".to_owned(),
        role: Role::Admin,
        group: None,
        hash: TokenHash([3; 32]),
        created_at: Timestamp(1),
        expires_at: None,
        revoked_at: None,
        revoked_with_group: false,
    };
    let boundary = Boundary::Organization(ORGANIZATION);
    world
        .organization(
            boundary,
            4,
            vec![OrganizationEvent::TokenIssued { token: token.clone() }],
        )
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    assert_eq!(
        views.token_by_hash(token.hash).await,
        Ok(Some((ORGANIZATION, token.clone())))
    );
    assert_eq!(views.token_by_hash(TokenHash([4; 32])).await, Ok(None));
    let revoked = TokenRecord {
        revoked_at: Some(Timestamp(2)),
        ..token
    };
    world
        .organization(
            boundary,
            5,
            vec![OrganizationEvent::TokenRevoked {
                token: revoked.clone(),
            }],
        )
        .await;
    running
        .projections
        .caught_up(boundary)
        .await
        .expect("the views catch up");
    assert_eq!(views.tokens(ORGANIZATION).await, Ok(vec![revoked]));
}

#[tokio::test]
async fn observed_nodes_survive_a_rebuild() {
    let world = registered().await;
    let running = world.opened().await;
    let observed = running.projections.observed();
    let node = |number, last_seen| ObservedNode {
        group: group(1),
        node: NodeId(Uuid::from_u128(number)),
        last_seen: Timestamp(last_seen),
        record: json!({"hostname": format!("n{number}")}),
    };
    observed.put(&[node(1, 10), node(2, 20)]).await.expect("a write");
    observed.put(&[node(1, 30)]).await.expect("a write");
    running.projections.rebuild(|_, _| {}).await.expect("a rebuild");
    assert_eq!(observed.list(group(1)).await, Ok(vec![node(1, 30), node(2, 20)]));
    assert_eq!(observed.delete(group(1), node(2, 0).node).await, Ok(true));
    assert_eq!(observed.get(group(1), node(2, 0).node).await, Ok(None));
    assert_eq!(
        observed.get(group(1), node(1, 0).node).await,
        Ok(Some(node(1, 30)))
    );
}

#[tokio::test]
async fn what_was_observed_of_a_group_and_its_stored_state_go_when_it_is_purged() {
    let mut world = registered().await;
    let running = world.opened().await;
    let node = |number: u128| ObservedNode {
        group: group(number),
        node: NodeId(Uuid::from_u128(number)),
        last_seen: Timestamp(10),
        record: json!({ "hostname": "edge" }),
    };
    let state = StoredState {
        position: Position(1),
        digest: Digest::ZERO,
        state_version: 1,
        bytes: vec![1].into(),
    };
    let (observed, states) = (running.projections.observed(), running.projections.states());
    observed.put(&[node(2), node(3)]).await.expect("a write");
    for number in [2, 3] {
        let boundary = Boundary::Group(group(number));
        states.save(boundary, state.clone()).await.expect("a write");
    }
    let purged = GroupRecord {
        deleted_at: Some(Timestamp(1)),
        purged_at: Some(Timestamp(2)),
        ..record(group(2), "us-west", &[])
    };
    let organization = Boundary::Organization(ORGANIZATION);
    let purged = OrganizationEvent::GroupPurged { group: purged };
    world.organization(organization, 4, vec![purged]).await;
    running
        .projections
        .caught_up(organization)
        .await
        .expect("it catches up");
    assert_eq!(observed.list(group(2)).await, Ok(Vec::new()));
    assert_eq!(states.load(Boundary::Group(group(2)), 1).await, Ok(None));
    assert_eq!(observed.list(group(3)).await, Ok(vec![node(3)]));
    assert_eq!(
        states.load(Boundary::Group(group(3)), 1).await,
        Ok(Some(state)),
        "the others stay"
    );
    let views = running.projections.views();
    let selector = GroupSelector::Id(group(2));
    let left = views
        .group(ORGANIZATION, &selector)
        .await
        .expect("a query")
        .expect("a record");
    assert_eq!(left.record.name, "us-west");
}
