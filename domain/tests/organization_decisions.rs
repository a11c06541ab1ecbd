//! Given an organization, when something is asked of it, then these are the events or the refusal.

use domain::organization::node_reports::{HOSTNAME_LIMIT, REASON_LIMIT};
use domain::organization::{
    GroupPatch, NewGroup, Organization, OrganizationCommand, OrganizationDecision, OrganizationError,
    OrganizationEvent, RuntimeType, Subject, decide,
};
use domain::token::{Role, TokenHash};
use domain::{Actor, Change, Context, Digest, GroupId, NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

/// An organization under test, created.
struct Given {
    organization: Organization,
    commands: u8,
}

impl Given {
    fn organization() -> Self {
        let mut given = Self {
            organization: Organization::default(),
            commands: 0,
        };
        let id = OrganizationId(Uuid::nil());
        let command = OrganizationCommand::Create {
            id,
            name: "acme".to_owned(),
            admin: TokenHash([1; 32]),
        };
        given.when(command).expect("the first command");
        given
    }

    fn when(&mut self, command: OrganizationCommand) -> Result<OrganizationDecision, OrganizationError> {
        self.commands += 1;
        let at = Timestamp(1_800_000_000_000 + i64::from(self.commands));
        let decision = decide(
            &self.organization,
            &command,
            &mut Context::new(at, [self.commands; 32]),
        )?;
        if !decision.events.is_empty() {
            let change = Change {
                version: self.organization.version + 1,
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
                events: decision.events.clone(),
            };
            self.organization.apply(&change);
        }
        Ok(decision)
    }

    fn group(&mut self, name: &str) -> Result<GroupId, OrganizationError> {
        self.when(OrganizationCommand::CreateGroup(NewGroup {
            name: name.to_owned(),
            ..NewGroup::default()
        }))?;
        Ok(self.organization.group_named(name).expect("it was created").id)
    }

    fn rename(&mut self, group: GroupId, name: &str) -> Result<OrganizationDecision, OrganizationError> {
        let patch = GroupPatch {
            name: Some(name.to_owned()),
            ..GroupPatch::default()
        };
        self.when(OrganizationCommand::UpdateGroup {
            group,
            patch,
            expected: None,
        })
    }

    fn default_group(&self) -> GroupId {
        self.organization
            .group_named("default")
            .expect("it always exists")
            .id
    }
}

#[test]
fn a_new_organization_has_the_group_default_and_one_admin_token() {
    let given = Given::organization();
    assert!(given.organization.group_named("default").is_some());
    assert_eq!(
        given
            .organization
            .tokens
            .values()
            .map(|token| token.role)
            .collect::<Vec<_>>(),
        [Role::Admin]
    );
}

#[test]
fn the_default_group_can_be_neither_renamed_nor_deleted_but_described() {
    let mut given = Given::organization();
    let group = given.default_group();
    assert_eq!(
        given.rename(group, "other").unwrap_err(),
        OrganizationError::DefaultGroup
    );
    let deletion = given.when(OrganizationCommand::DeleteGroup {
        group,
        expected: None,
    });
    assert_eq!(deletion.unwrap_err(), OrganizationError::DefaultGroup);
    let patch = GroupPatch {
        description: Some(Some("ours".to_owned())),
        ..GroupPatch::default()
    };
    given
        .when(OrganizationCommand::UpdateGroup {
            group,
            patch,
            expected: None,
        })
        .unwrap();
}

#[test]
fn names_are_unique_until_their_holder_is_deleted_or_renamed() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    assert!(
        matches!(given.group("us-west"), Err(OrganizationError::NameTaken { holder, .. }) if holder == group)
    );
    given.rename(group, "us-east").unwrap();
    given.group("us-west").unwrap();
    given
        .when(OrganizationCommand::DeleteGroup {
            group,
            expected: None,
        })
        .unwrap();
    given.group("us-east").unwrap();
    let restored = given.when(OrganizationCommand::RestoreGroup {
        group,
        name: None,
        leave_out: Vec::new(),
    });
    assert!(matches!(restored, Err(OrganizationError::NameTaken { .. })));
    given
        .when(OrganizationCommand::RestoreGroup {
            group,
            name: Some("us-north".to_owned()),
            leave_out: Vec::new(),
        })
        .unwrap();
    assert_eq!(
        given.organization.group_named("us-north").map(|group| group.id),
        Some(group)
    );
}

#[test]
fn names_and_labels_that_would_confuse_are_refused() {
    let mut given = Given::organization();
    for name in [
        "",
        "a/b",
        " a",
        "11111111-1111-4111-8111-111111111111",
        "a\nb",
        &"x".repeat(129),
    ] {
        assert!(
            matches!(given.group(name), Err(OrganizationError::Invalid { .. })),
            "{name:?}"
        );
    }
    for (key, value) in [("kong-x", "v"), ("a", ""), ("-a", "v"), ("a", "v v")] {
        let labels = [(key.to_owned(), value.to_owned())].into();
        let new = NewGroup {
            name: "g".to_owned(),
            labels,
            ..NewGroup::default()
        };
        let refused = given.when(OrganizationCommand::CreateGroup(new));
        assert!(
            matches!(refused, Err(OrganizationError::Invalid { .. })),
            "{key}={value}"
        );
    }
}

#[test]
fn an_update_that_alters_nothing_is_no_change() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    assert!(given.rename(group, "us-west").unwrap().events.is_empty());
}

#[test]
fn a_change_to_what_somebody_else_touched_is_refused() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    let touched = given.organization.group(group).unwrap().touched;
    let update = |expected| OrganizationCommand::UpdateGroup {
        group,
        patch: GroupPatch {
            description: Some(Some(format!("{expected}"))),
            ..GroupPatch::default()
        },
        expected: Some(vec![expected]),
    };
    given.when(update(touched)).unwrap();
    assert_eq!(
        given.when(update(touched)).unwrap_err(),
        OrganizationError::Precondition { actual: touched + 1 }
    );
}

#[test]
fn every_instance_of_a_group_is_of_one_type() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    let set = |runtime_type, replace| OrganizationCommand::SetRuntimeType {
        group,
        runtime_type,
        replace,
    };
    given.when(set(RuntimeType::Native, false)).unwrap();
    assert!(
        given
            .when(set(RuntimeType::Native, false))
            .unwrap()
            .events
            .is_empty()
    );
    let other = given.when(set(RuntimeType::KongGateway, false));
    assert!(matches!(
        other,
        Err(OrganizationError::RuntimeType { actual: "native", .. })
    ));
    given.when(set(RuntimeType::KongGateway, true)).unwrap();
}

#[test]
fn deleting_a_group_revokes_the_tokens_bound_to_it() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    let issue = OrganizationCommand::IssueToken {
        name: "edge".to_owned(),
        role: Role::Instance,
        group: Some(group),
        hash: TokenHash([2; 32]),
        expires_at: None,
    };
    given.when(issue).unwrap();
    let events = given
        .when(OrganizationCommand::DeleteGroup {
            group,
            expected: None,
        })
        .unwrap()
        .events;
    assert!(matches!(
        events.as_slice(),
        [
            OrganizationEvent::GroupDeleted { .. },
            OrganizationEvent::TokenRevoked { .. }
        ]
    ));
    assert!(!given.organization.hashes.contains_key(&TokenHash([2; 32])));
}

#[test]
fn tokens_come_back_with_their_group_but_for_those_that_were_revoked_for_themselves() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    let mut issue = |hash| {
        let issue = OrganizationCommand::IssueToken {
            name: "edge".to_owned(),
            role: Role::Instance,
            group: Some(group),
            hash: TokenHash([hash; 32]),
            expires_at: None,
        };
        match given.when(issue).unwrap().subject {
            Subject::Token(id) => id,
            other => panic!("{other:?}"),
        }
    };
    let [_, before, after] = [2, 3, 4].map(&mut issue);
    let revoke = |token| OrganizationCommand::RevokeToken { token };
    let delete = OrganizationCommand::DeleteGroup {
        group,
        expected: None,
    };
    given.when(revoke(before)).unwrap();
    given.when(delete).unwrap();
    assert_eq!(given.when(revoke(after)).unwrap().events.len(), 1);
    assert_eq!(given.when(revoke(after)).unwrap().events, []);
    let restore = OrganizationCommand::RestoreGroup {
        group,
        name: None,
        leave_out: Vec::new(),
    };
    given.when(restore).unwrap();
    let works = |hash| given.organization.hashes.contains_key(&TokenHash([hash; 32]));
    assert_eq!([2, 3, 4].map(works), [true, false, false]);
}

#[test]
fn what_an_instance_says_is_noted_in_short() {
    let mut given = Given::organization();
    let group = given.default_group();
    let node = NodeId(Uuid::nil());
    let long = "x".repeat(60_000);
    let refuse = OrganizationCommand::RefuseNode {
        group,
        node,
        version: 1,
        digest: Digest([1; 32]),
        reason: long.clone(),
    };
    let admit = OrganizationCommand::AdmitNode {
        group,
        node,
        hostname: long,
        credential: "token:1".to_owned(),
    };
    for (command, limit) in [(refuse, REASON_LIMIT), (admit, HOSTNAME_LIMIT)] {
        let events = given.when(command).unwrap().events;
        let said = match &events[..] {
            [OrganizationEvent::NodeRefused { reason, .. }] => reason,
            [OrganizationEvent::NodeAdmitted { hostname, .. }] => hostname,
            other => panic!("{other:?}"),
        };
        assert_eq!(said.chars().count(), limit);
    }
}

#[test]
fn an_instance_token_without_a_group_is_refused() {
    let issue = OrganizationCommand::IssueToken {
        name: "edge".to_owned(),
        role: Role::Instance,
        group: None,
        hash: TokenHash([2; 32]),
        expires_at: None,
    };
    assert!(matches!(
        Given::organization().when(issue),
        Err(OrganizationError::Invalid { .. })
    ));
}

#[test]
fn a_refusal_is_noted_once_per_node_and_digest() {
    let mut given = Given::organization();
    let group = given.default_group();
    let refuse = |digest| OrganizationCommand::RefuseNode {
        group,
        node: NodeId(Uuid::nil()),
        version: 1,
        digest: Digest([digest; 32]),
        reason: "no".to_owned(),
    };
    assert_eq!(given.when(refuse(1)).unwrap().events.len(), 1);
    assert!(given.when(refuse(1)).unwrap().events.is_empty());
    assert_eq!(given.when(refuse(2)).unwrap().events.len(), 1);
}

#[test]
fn a_deleted_group_is_purged_for_ever() {
    let mut given = Given::organization();
    let group = given.group("us-west").unwrap();
    let purge = |expected| OrganizationCommand::PurgeGroup { group, expected };
    assert_eq!(
        given.when(purge(None)).unwrap_err(),
        OrganizationError::StillExists(group)
    );
    let patch = GroupPatch {
        description: Some(Some("personal".to_owned())),
        ..GroupPatch::default()
    };
    let update = OrganizationCommand::UpdateGroup {
        group,
        patch,
        expected: None,
    };
    given.when(update).unwrap();
    let delete = OrganizationCommand::DeleteGroup {
        group,
        expected: None,
    };
    given.when(delete).unwrap();
    assert!(matches!(
        given.when(purge(Some(vec![1]))),
        Err(OrganizationError::Precondition { .. })
    ));
    given.when(purge(Some(vec![given.organization.version]))).unwrap();
    let record = given.organization.groups[&group].clone();
    assert_eq!((record.name.as_str(), &record.description), ("us-west", &None));
    assert!(record.purged_at.is_some() && record.deleted_at.is_some());
    assert!(given.when(purge(None)).unwrap().events.is_empty(), "already so");
    let restored = given.when(OrganizationCommand::RestoreGroup {
        group,
        name: None,
        leave_out: Vec::new(),
    });
    assert!(matches!(restored, Err(OrganizationError::Purged { .. })));
}
