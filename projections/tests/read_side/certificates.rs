//! Which group a certificate opens, as the system's claims and the organizations' records have it together.

use domain::fingerprint::Fingerprint;
use domain::organization::{
    AuthType, CertificateContent, GroupRecord, GroupSettings, NodeCertificate, OrganizationEvent,
};
use domain::system::{GroupOfOrganization, SystemEvent};
use domain::{Boundary, GroupId, NodeCertificateId, OrganizationId, Timestamp, Version};
use uuid::Uuid;

use crate::world::{Running, World, group};

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(99));
const WEST: u128 = 1;
const EAST: u128 = 2;
const LEAF: Fingerprint = Fingerprint([1; 32]);
const AUTHORITY: Fingerprint = Fingerprint([2; 32]);

/// What happens to the installation and its one organization, in order.
struct Registry {
    world: World,
    system: Version,
    organization: Version,
}

impl Registry {
    /// With the groups west and east; east trusts what its CAs issued.
    async fn with_groups() -> Self {
        let mut registry = Self {
            world: World::new(),
            system: 0,
            organization: 0,
        };
        for (id, auth_type) in [
            (WEST, AuthType::PinnedClientCerts),
            (EAST, AuthType::PkiClientCerts),
        ] {
            let group = of_group(id, auth_type);
            registry
                .organization(OrganizationEvent::GroupCreated { group })
                .await;
        }
        registry
    }

    async fn organization(&mut self, event: OrganizationEvent) {
        self.organization += 1;
        let boundary = Boundary::Organization(ORGANIZATION);
        self.world
            .organization(boundary, self.organization, vec![event])
            .await;
    }

    async fn system(&mut self, event: SystemEvent) {
        self.system += 1;
        self.world
            .organization(Boundary::System, self.system, vec![event])
            .await;
    }

    async fn claimed(&mut self, fingerprint: Fingerprint, by: u128) {
        let by = by_group(by);
        self.system(SystemEvent::CertificateClaimed {
            fingerprint,
            by,
            certificate: None,
        })
        .await;
    }

    async fn added(&mut self, fingerprint: Fingerprint, to: u128, is_ca: bool) {
        let certificate = certificate(fingerprint, group(to), is_ca);
        self.organization(OrganizationEvent::NodeCertificateAdded { certificate })
            .await;
    }

    async fn removed(&mut self, fingerprint: Fingerprint, from: u128) {
        let NodeCertificate { id, group, .. } = certificate(fingerprint, group(from), false);
        let subject = String::new();
        let removed = OrganizationEvent::NodeCertificateRemoved {
            group,
            id,
            fingerprint,
            subject,
        };
        self.organization(removed).await;
    }
}

fn by_group(id: u128) -> GroupOfOrganization {
    GroupOfOrganization {
        organization: ORGANIZATION,
        group: group(id),
    }
}

fn of_group(id: u128, auth_type: AuthType) -> GroupRecord {
    GroupRecord {
        id: group(id),
        name: format!("group {id}"),
        description: None,
        labels: [].into(),
        settings: GroupSettings {
            auth_type,
            ..GroupSettings::default()
        },
        runtime_type: None,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        deleted_at: None,
        purged_at: None,
        touched: 0,
    }
}

/// A certificate whose id and expiry follow from its fingerprint's first byte.
fn certificate(fingerprint: Fingerprint, group: GroupId, is_ca: bool) -> NodeCertificate {
    let number = fingerprint.0[0];
    NodeCertificate {
        id: NodeCertificateId(Uuid::from_u128(u128::from(number))),
        group,
        name: None,
        content: CertificateContent {
            pem: String::new(),
            fingerprint,
            subject: format!("CN={number}"),
            serial: "0".to_owned(),
            not_before: Timestamp(0),
            not_after: Timestamp(i64::from(number) * 1000),
            is_ca,
            version: 3,
        },
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

async fn opened_group(running: &Running, fingerprint: Fingerprint) -> Option<GroupId> {
    let views = running.projections.views();
    let held = views.certificate(fingerprint).await.expect("a query");
    held.map(|held| held.group.id)
}

#[tokio::test]
async fn a_certificate_opens_the_group_that_has_both_the_claim_and_the_record() {
    let mut registry = Registry::with_groups().await;
    let running = registry.world.opened().await;
    registry.claimed(LEAF, WEST).await;
    running.caught_up(&registry.world).await;
    assert_eq!(opened_group(&running, LEAF).await, None, "it isn't recorded yet");
    registry.added(LEAF, WEST, false).await;
    running.caught_up(&registry.world).await;
    assert_eq!(opened_group(&running, LEAF).await, Some(group(WEST)));
    registry.removed(LEAF, WEST).await;
    running.caught_up(&registry.world).await;
    assert_eq!(
        opened_group(&running, LEAF).await,
        None,
        "it is removed before it is released"
    );
}

#[tokio::test]
async fn what_came_and_went_while_nobody_looked_opens_nothing() {
    let mut registry = Registry::with_groups().await;
    registry.claimed(LEAF, WEST).await;
    registry.added(LEAF, WEST, false).await;
    registry.removed(LEAF, WEST).await;
    let by = by_group(WEST);
    registry
        .system(SystemEvent::CertificateReleased {
            fingerprint: LEAF,
            by,
        })
        .await;
    let running = registry.world.opened().await;
    assert_eq!(opened_group(&running, LEAF).await, None);
    let views = running.projections.views();
    let listed = views.certificates_of(ORGANIZATION, group(WEST)).await;
    assert_eq!(listed.expect("a query"), []);
}

#[tokio::test]
async fn of_two_groups_with_a_record_the_one_with_the_claim_is_opened() {
    let mut registry = Registry::with_groups().await;
    registry.claimed(LEAF, WEST).await;
    registry.added(LEAF, WEST, false).await;
    registry.claimed(LEAF, EAST).await;
    let NodeCertificate { id, .. } = certificate(Fingerprint([77; 32]), group(EAST), false);
    let taken_over = NodeCertificate {
        id,
        ..certificate(LEAF, group(EAST), false)
    };
    let added = OrganizationEvent::NodeCertificateAdded {
        certificate: taken_over,
    };
    registry.organization(added).await;
    let running = registry.world.opened().await;
    assert_eq!(opened_group(&running, LEAF).await, Some(group(EAST)));
}

#[tokio::test]
async fn a_deleted_groups_certificate_is_still_found() {
    let mut registry = Registry::with_groups().await;
    registry.claimed(LEAF, WEST).await;
    registry.added(LEAF, WEST, false).await;
    let deleted = GroupRecord {
        deleted_at: Some(Timestamp(5)),
        ..of_group(WEST, AuthType::PinnedClientCerts)
    };
    registry
        .organization(OrganizationEvent::GroupDeleted { group: deleted })
        .await;
    let running = registry.world.opened().await;
    let views = running.projections.views();
    let held = views
        .certificate(LEAF)
        .await
        .expect("a query")
        .expect("it is known");
    assert_eq!(held.group.deleted_at, Some(Timestamp(5)));
    let expiring = views.certificates_expiring_before(Timestamp(i64::MAX)).await;
    assert_eq!(expiring.expect("a query"), [], "nobody has to renew it");
}

#[tokio::test]
async fn only_groups_that_say_so_trust_what_their_authorities_issue() {
    let mut registry = Registry::with_groups().await;
    for (fingerprint, group, is_ca) in [
        (Fingerprint([3; 32]), WEST, true),
        (AUTHORITY, EAST, true),
        (LEAF, EAST, false),
    ] {
        registry.claimed(fingerprint, group).await;
        registry.added(fingerprint, group, is_ca).await;
    }
    let running = registry.world.opened().await;
    let trusted = running.projections.views().authorities().await.expect("a query");
    let [authority] = &trusted[..] else {
        panic!("one authority: {trusted:?}");
    };
    assert_eq!(authority.group.id, group(EAST));
    assert_eq!(authority.certificate.content.fingerprint, AUTHORITY);
}

#[tokio::test]
async fn certificates_that_expire_are_listed_before_they_do() {
    let mut registry = Registry::with_groups().await;
    for fingerprint in [AUTHORITY, LEAF, Fingerprint([9; 32])] {
        registry.claimed(fingerprint, WEST).await;
        registry.added(fingerprint, WEST, false).await;
    }
    let running = registry.world.opened().await;
    let views = running.projections.views();
    let expiring = views.certificates_expiring_before(Timestamp(3000)).await;
    let subjects: Vec<_> = expiring
        .expect("a query")
        .into_iter()
        .map(|held| held.certificate.content.subject)
        .collect();
    assert_eq!(subjects, ["CN=1", "CN=2"]);
}
