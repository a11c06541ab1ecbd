//! A certificate comes to one group of the installation and goes, whole or cut in half by a crash.

use domain::codec::encode_changes;
use domain::commit::Changes;
use domain::fingerprint::Fingerprint;
use domain::gateway::{Accepted, CommandError, Commands};
use domain::organization::{CertificateContent, OrganizationCommand, OrganizationOutcome};
use domain::system::{
    ClaimedCertificate, GroupOfOrganization, Possession, SystemCommand, SystemError, SystemEvent, Wanted,
};
use domain::{Boundary, Cause, Change, CommitId, Expected, NodeCertificateId};

use crate::deletion::{delete, new_group, second_append_finds_no_room};
use crate::site::{Desk, Site, cause, keyed, until};

pub(crate) const LEAF: &str = include_str!("../../../domain/tests/node_certificates/leaf.pem");
const OTHER: &str = include_str!("../../../domain/tests/node_certificates/authority.pem");

/// A certificate of [`LEAF`]'s key under another name.
const SAME_KEY: &str = include_str!("../../../domain/tests/node_certificates/kong_hybrid_gen_cert.pem");

type Answer = Result<Accepted<OrganizationOutcome>, CommandError>;

async fn add_as(desk: &Desk, pem: &str, cause: Cause) -> Answer {
    let command = OrganizationCommand::AddNodeCertificate {
        group: desk.group,
        pem: pem.to_owned(),
        name: None,
        possession: Possession::Vouched,
    };
    desk.bus.organization(desk.organization, command, cause).await
}

pub(crate) async fn add(desk: &Desk, pem: &str) -> Answer {
    add_as(desk, pem, cause()).await
}

async fn remove(desk: &Desk, certificate: NodeCertificateId) -> Answer {
    let group = desk.group;
    let command = OrganizationCommand::RemoveNodeCertificate { group, certificate };
    desk.bus.organization(desk.organization, command, cause()).await
}

fn fingerprint(pem: &str) -> Fingerprint {
    CertificateContent::of_pem(pem).unwrap().fingerprint
}

fn group_of(desk: &Desk) -> GroupOfOrganization {
    GroupOfOrganization {
        organization: desk.organization,
        group: desk.group,
    }
}

fn claim(pem: &str, by: &Desk, from: Vec<GroupOfOrganization>) -> SystemCommand {
    let der = CertificateContent::of_pem(pem).and_then(|content| content.der());
    SystemCommand::ClaimCertificate(Wanted {
        certificate: ClaimedCertificate::of_der(&der.unwrap()).unwrap(),
        by: group_of(by),
        from,
        possession: Possession::Known,
    })
}

/// Whose the certificate is, as the system says.
pub(crate) async fn holder(desk: &Desk, pem: &str) -> Option<GroupOfOrganization> {
    let system = desk.bus.system_state().await.unwrap();
    system
        .state
        .certificates
        .get(&fingerprint(pem))
        .map(|claim| claim.by)
}

/// Whether the group has the certificate in its record.
pub(crate) async fn is_recorded(desk: &Desk, pem: &str) -> bool {
    let organization = desk.bus.organization_state(desk.organization).await.unwrap();
    let wanted = fingerprint(pem);
    let mut certificates = organization.state.certificates_of(desk.group);
    certificates.any(|certificate| certificate.content.fingerprint == wanted)
}

#[tokio::test]
async fn a_certificate_is_the_groups_until_it_is_removed() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let added = add(&desk, LEAF).await.unwrap().outcome.certificate.unwrap();
    assert_eq!(holder(&desk, LEAF).await, Some(group_of(&desk)));
    let again = add(&desk, LEAF).await.unwrap();
    assert!(!again.changed, "already so");
    assert_eq!(again.outcome.certificate.unwrap().id, added.id);
    remove(&desk, added.id).await.unwrap();
    assert!(!is_recorded(&desk, LEAF).await);
    assert_eq!(holder(&desk, LEAF).await, None);
}

#[tokio::test]
async fn a_certificate_of_another_group_is_refused_and_stays_there() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    let east = new_group(&west, "east").await;
    add(&west, LEAF).await.unwrap();
    let refused = add(&east, LEAF).await.unwrap_err();
    assert_eq!(refused, CommandError::System(SystemError::CertificateTaken));
    assert!(is_recorded(&west, LEAF).await && !is_recorded(&east, LEAF).await);
}

/// Appends what a version of the program wrote whose claims named the fingerprint alone.
async fn claimed_as_of_old(site: &Site, desk: &Desk, pem: &str) {
    let commits = site.commits(Boundary::System).await;
    let last = commits.last().unwrap();
    let Changes::System(changes) = &last.changes else {
        panic!("the system's boundary holds the system's changes");
    };
    let newest = changes.last().unwrap();
    let change = Change {
        version: newest.version + 1,
        events: vec![SystemEvent::CertificateClaimed {
            fingerprint: fingerprint(pem),
            by: group_of(desk),
            certificate: None,
        }],
        ..newest.clone()
    };
    let (id, limit) = (CommitId(uuid::Uuid::from_u128(0x01d)), site.log.record_limit());
    let encoded = encode_changes(id, Boundary::System, &[change], &*site.keyring, limit).unwrap();
    let record = encoded.record(0, last.position, last.digest, None);
    let expected = Expected::At(last.position);
    site.log
        .append(Boundary::System, expected, id, record)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_claimed_before_claims_said_what_it_is_meets_others_too() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    add(&west, LEAF).await.unwrap();
    claimed_as_of_old(&site, &west, LEAF).await;
    let east = new_group(&west, "east").await;
    let east = Desk {
        bus: site.bus(),
        ..east
    };
    assert_eq!(
        add(&east, SAME_KEY).await.unwrap_err(),
        CommandError::System(SystemError::CertificateTaken)
    );
    assert_eq!(holder(&east, LEAF).await, Some(group_of(&west)));
    add(&west, SAME_KEY).await.unwrap();
}

#[tokio::test]
async fn of_two_processes_that_add_one_certificate_to_two_groups_one_succeeds() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    let east = new_group(&west, "east").await;
    let east = Desk {
        bus: site.bus(),
        ..east
    };
    let (one, other) = tokio::join!(add(&west, LEAF), add(&east, LEAF));
    assert_ne!(one.is_ok(), other.is_ok());
    let winner = if one.is_ok() { &west } else { &east };
    assert_eq!(holder(&west, LEAF).await, Some(group_of(winner)));
    assert_ne!(is_recorded(&west, LEAF).await, is_recorded(&east, LEAF).await);
}

#[tokio::test]
async fn what_is_no_certificate_is_given_to_nobody() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let before = site.log.tail().await.unwrap();
    assert!(matches!(
        add(&desk, "x").await,
        Err(CommandError::Organization(_))
    ));
    let missing = NodeCertificateId(uuid::Uuid::nil());
    assert!(matches!(
        remove(&desk, missing).await,
        Err(CommandError::Organization(_))
    ));
    assert_eq!(site.log.tail().await.unwrap(), before);
}

#[tokio::test]
async fn an_addition_for_whose_record_the_log_has_no_room_is_taken_back() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    second_append_finds_no_room(&log);
    assert!(matches!(add(&desk, LEAF).await, Err(CommandError::LogFull(_))));
    assert_eq!(holder(&desk, LEAF).await, None);
}

#[tokio::test]
async fn a_repeated_addition_is_answered_as_before_whatever_it_brings() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let first = add_as(&desk, LEAF, keyed("k", "issue")).await.unwrap();
    let again = add_as(&desk, OTHER, keyed("k", "issue")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.outcome.certificate, first.outcome.certificate);
    assert_eq!(holder(&desk, OTHER).await, None);
}

#[tokio::test]
async fn a_restored_group_has_its_certificates_but_those_that_belong_elsewhere_by_then() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    let east = new_group(&west, "east").await;
    add(&east, LEAF).await.unwrap();
    add(&east, OTHER).await.unwrap();
    delete(&east).await.unwrap();
    assert_eq!(
        holder(&west, LEAF).await,
        Some(group_of(&east)),
        "its instances are known as orphans"
    );
    add(&west, LEAF).await.unwrap();
    let restored = east
        .bus
        .restore_group(east.organization, east.group, None, cause())
        .await;
    let left_out = restored.unwrap().outcome.left_out;
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0].content.fingerprint, fingerprint(LEAF));
    assert!(is_recorded(&east, OTHER).await && !is_recorded(&east, LEAF).await);
    assert_eq!(holder(&west, LEAF).await, Some(group_of(&west)));
    assert_eq!(holder(&west, OTHER).await, Some(group_of(&east)));
}

#[tokio::test]
async fn a_restored_group_gets_back_what_nobody_has_any_more() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    let east = new_group(&west, "east").await;
    add(&east, LEAF).await.unwrap();
    delete(&east).await.unwrap();
    let added = add(&west, LEAF).await.unwrap().outcome.certificate.unwrap();
    remove(&west, added.id).await.unwrap();
    let restored = east
        .bus
        .restore_group(east.organization, east.group, None, cause())
        .await;
    assert!(restored.unwrap().outcome.left_out.is_empty());
    assert_eq!(holder(&west, LEAF).await, Some(group_of(&east)));
}

#[tokio::test(start_paused = true)]
async fn a_claim_cut_before_its_record_is_released() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let claim = claim(LEAF, &desk, Vec::new());
    desk.bus.system(claim, cause()).await.unwrap();
    site.run_reactors(&desk.bus);
    assert!(holder(&desk, LEAF).await.is_some(), "it might still be under way");
    site.clock.advance(60);
    until(&site, async || holder(&desk, LEAF).await.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_cut_before_its_release_is_finished() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    let added = add(&desk, LEAF).await.unwrap().outcome.certificate.unwrap();
    second_append_finds_no_room(&log);
    remove(&desk, added.id).await.unwrap();
    assert!(!is_recorded(&desk, LEAF).await && holder(&desk, LEAF).await.is_some());
    site.clock.advance(60);
    site.run_reactors(&desk.bus);
    until(&site, async || holder(&desk, LEAF).await.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_claim_was_released_meanwhile_claims_it_again() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    add(&desk, LEAF).await.unwrap();
    let release = SystemCommand::ReleaseCertificate {
        fingerprint: fingerprint(LEAF),
        by: group_of(&desk),
    };
    desk.bus.system(release, cause()).await.unwrap();
    site.clock.advance(60);
    site.run_reactors(&desk.bus);
    until(&site, async || holder(&desk, LEAF).await.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_certificate_another_group_has_by_now_is_removed() {
    let (site, _) = Site::in_memory();
    let west = site.desk().await;
    let east = new_group(&west, "east").await;
    add(&east, LEAF).await.unwrap();
    let claim = claim(LEAF, &west, vec![group_of(&east)]);
    west.bus.system(claim, cause()).await.unwrap();
    site.clock.advance(60);
    site.run_reactors(&west.bus);
    until(&site, async || !is_recorded(&east, LEAF).await).await;
}
