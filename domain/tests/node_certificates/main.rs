//! Given an installation, when a certificate comes or goes, then these are the events or the refusal.

mod claims;
mod made;
mod possession;

use domain::fingerprint::Fingerprint;
use domain::organization::{
    AUTHORITY_LIMIT, CERTIFICATE_LIMIT, CertificateContent, GroupRecord, GroupSettings, Organization,
    OrganizationCommand, OrganizationDecision, OrganizationError, OrganizationEvent, decide,
};
use domain::system::Possession;
use domain::{Actor, Change, Context, GroupId, NodeCertificateId, Timestamp};
use uuid::Uuid;

/// As `kong hybrid gen_cert` writes it: X.509 version 1, serial number 0.
const KONGS: &str = include_str!("kong_hybrid_gen_cert.pem");
const LEAF: &str = include_str!("leaf.pem");
const LEAFS_KEY: &str = include_str!("leaf.key");
/// As `openssl req -x509` writes it: it may issue others.
const AUTHORITY: &str = include_str!("authority.pem");
/// Since November 2026.
const EXPIRED: &str = include_str!("expired.pem");

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const EDGE: GroupId = GroupId(Uuid::from_u128(0xE0));

fn change<Event: Clone>(version: u64, events: &[Event]) -> Change<Event> {
    Change {
        version,
        at: NOW,
        clock: NOW,
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: None,
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: 1,
        events: events.to_vec(),
    }
}

/// An organization with the group `edge`.
struct Given(Organization);

impl Given {
    fn group() -> Self {
        let group = GroupRecord {
            id: EDGE,
            name: "edge".to_owned(),
            description: None,
            labels: [].into(),
            settings: GroupSettings::default(),
            runtime_type: None,
            created_at: NOW,
            updated_at: NOW,
            deleted_at: None,
            purged_at: None,
            touched: 0,
        };
        let mut organization = Organization::default();
        organization.apply(&change(1, &[OrganizationEvent::GroupCreated { group }]));
        Self(organization)
    }

    fn when(&mut self, command: &OrganizationCommand) -> Result<OrganizationDecision, OrganizationError> {
        let version = self.0.version + 1;
        let seed = [u8::try_from(version).expect("few changes"); 32];
        let decision = decide(&self.0, command, &mut Context::new(NOW, seed))?;
        if !decision.events.is_empty() {
            self.0.apply(&change(version, &decision.events));
        }
        Ok(decision)
    }

    fn when_added(&mut self, pem: &str) -> Result<OrganizationDecision, OrganizationError> {
        self.when(&OrganizationCommand::AddNodeCertificate {
            group: EDGE,
            pem: pem.to_owned(),
            name: None,
            possession: Possession::Unproven,
        })
    }

    fn refused(&mut self, pem: &str) -> String {
        self.when_added(pem).expect_err("it is no good").to_string()
    }

    fn certificates(&self) -> Vec<&CertificateContent> {
        self.0
            .certificates_of(EDGE)
            .map(|certificate| &certificate.content)
            .collect()
    }
}

#[test]
fn a_certificate_is_recorded_with_what_it_says() {
    let mut given = Given::group();
    given.when_added(LEAF).expect("it is one");
    let [leaf] = given.certificates()[..] else {
        panic!("one certificate");
    };
    assert_eq!(leaf.pem, LEAF, "the text itself, in the lines everybody writes");
    assert_eq!(leaf.subject, "CN=edge one, C=US");
    assert_eq!((leaf.version, leaf.is_ca), (3, false));
    assert_eq!(leaf.fingerprint, Fingerprint::of(&leaf.der().expect("PEM")));
    assert!(leaf.not_before < NOW && NOW < leaf.not_after);
}

#[test]
fn a_certificate_of_kong_hybrid_gen_cert_is_as_good_as_any() {
    let mut given = Given::group();
    given.when_added(KONGS).expect("version 1 is accepted");
    let [kongs] = given.certificates()[..] else {
        panic!("one certificate");
    };
    assert_eq!(kongs.subject, "CN=kong_clustering");
    assert_eq!(
        (kongs.version, kongs.is_ca, kongs.serial.as_str()),
        (1, false, "0")
    );
}

#[test]
fn the_certificate_of_an_authority_is_known_as_one() {
    let mut given = Given::group();
    given.when_added(AUTHORITY).expect("it is one");
    assert!(given.certificates()[0].is_ca);
}

#[test]
fn what_stands_around_a_certificate_is_not_kept() {
    let mut given = Given::group();
    given
        .when_added(&format!(
            "Certificate:\n    Data:\n{}",
            LEAF.replace('\n', "\r\n")
        ))
        .expect("it is one");
    assert_eq!(given.certificates()[0].pem, LEAF);
}

#[test]
fn the_same_certificate_again_is_already_so() {
    let mut given = Given::group();
    given.when_added(LEAF).expect("it is one");
    let again = given.when_added(LEAF).expect("already so");
    assert_eq!(again.events, []);
    assert_eq!(given.certificates().len(), 1);
}

#[test]
fn a_private_key_is_refused_and_the_refusal_says_why() {
    let mut given = Given::group();
    for text in [
        LEAFS_KEY.to_owned(),
        format!("{LEAF}{LEAFS_KEY}"),
        format!("{LEAFS_KEY}{LEAF}"),
    ] {
        assert!(given.refused(&text).contains("private key"), "{text}");
    }
}

#[test]
fn several_certificates_none_and_an_expired_one_are_refused() {
    let mut given = Given::group();
    assert!(
        given
            .refused(&format!("{LEAF}{KONGS}"))
            .contains("one certificate")
    );
    for text in [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(given.refused(text).starts_with("cert "), "{text}");
    }
    assert!(given.refused(EXPIRED).contains("has expired at 2026-11-23"));
    assert!(given.refused(&"x".repeat(64 * 1024)).contains("bytes"));
}

#[test]
fn bytes_after_a_certificate_are_refused_because_no_handshake_carries_them() {
    let mut der = CertificateContent::of_pem(LEAF)
        .and_then(|leaf| leaf.der())
        .expect("a certificate");
    der.push(0);
    let refusal = CertificateContent::of_der(&der)
        .expect_err("one byte too many")
        .to_string();
    assert!(refusal.contains("after the certificate's end"), "{refusal}");
}

#[test]
fn an_authority_whose_own_signature_was_altered_is_refused() {
    let mut given = Given::group();
    let altered = made::altered(AUTHORITY);
    assert!(given.refused(&altered).contains("altered or damaged"));
    given.when_added(AUTHORITY).expect("as it was issued");
}

/// A group with so many certificates like this one.
fn with_so_many(pem: &str, count: usize) -> (Given, NodeCertificateId) {
    let mut given = Given::group();
    given.when_added(pem).expect("it is one");
    let known = given.0.certificates_of(EDGE).next().expect("it was added");
    let known = known.as_ref().clone();
    let others = (1..count).map(|number| {
        let mut certificate = known.clone();
        let bytes = (number as u128).to_be_bytes();
        certificate.id = NodeCertificateId(Uuid::from_u128(number as u128));
        certificate.content.fingerprint = Fingerprint([bytes, bytes].concat().try_into().expect("32 bytes"));
        certificate.created_at = Timestamp(known.created_at.0 + 1);
        OrganizationEvent::NodeCertificateAdded { certificate }
    });
    let others: Vec<_> = others.collect();
    given.0.apply(&change(3, &others));
    (given, known.id)
}

#[test]
fn a_group_has_a_certificate_for_each_instance_of_a_large_fleet_and_is_told_which_could_go() {
    let (mut given, oldest) = with_so_many(LEAF, CERTIFICATE_LIMIT);
    let refused = given.when_added(KONGS).expect_err("one too many");
    assert!(
        matches!(
            refused,
            OrganizationError::CertificateLimit {
                limit: CERTIFICATE_LIMIT,
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains(&oldest.to_string()), "{refused}");
    let remove = OrganizationCommand::RemoveNodeCertificate {
        group: EDGE,
        certificate: oldest,
    };
    given.when(&remove).expect("it is there");
    given.when_added(KONGS).expect("there is room again");
}

#[test]
fn a_group_trusts_so_many_authorities() {
    let (mut given, oldest) = with_so_many(AUTHORITY, AUTHORITY_LIMIT);
    given.when_added(LEAF).expect("an instance's isn't one of them");
    let refused = given
        .when_added(&made::Made::root("one more").pem())
        .expect_err("one too many");
    assert!(
        matches!(
            refused,
            OrganizationError::CertificateLimit {
                limit: AUTHORITY_LIMIT,
                ..
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains(&oldest.to_string()), "{refused}");
}

#[test]
fn a_removed_certificate_is_gone_and_removed_once() {
    let mut given = Given::group();
    given.when_added(LEAF).expect("it is one");
    let certificate = given.0.certificates_of(EDGE).next().expect("it was added").id;
    let remove = OrganizationCommand::RemoveNodeCertificate {
        group: EDGE,
        certificate,
    };
    given.when(&remove).expect("it is there");
    assert!(given.certificates().is_empty());
    assert_eq!(
        given.when(&remove).expect_err("it is gone"),
        OrganizationError::NoSuchCertificate(certificate)
    );
}

#[test]
fn a_deleted_group_keeps_its_certificates_and_a_restored_one_leaves_out_what_belongs_elsewhere() {
    let mut given = Given::group();
    given.when_added(LEAF).expect("it is one");
    given.when_added(KONGS).expect("it is one");
    let delete = OrganizationCommand::DeleteGroup {
        group: EDGE,
        expected: None,
    };
    given.when(&delete).expect("it exists");
    assert_eq!(given.certificates().len(), 2);
    assert_eq!(
        given.when_added(AUTHORITY).expect_err("no group"),
        OrganizationError::NoSuchGroup(EDGE)
    );
    let elsewhere = given.0.certificates_of(EDGE).next().expect("two of them").id;
    let restored = given.when(&OrganizationCommand::RestoreGroup {
        group: EDGE,
        name: None,
        leave_out: vec![elsewhere],
    });
    assert_eq!(restored.expect("it is deleted").events.len(), 2);
    let [kept] = given.0.certificates_of(EDGE).collect::<Vec<_>>()[..] else {
        panic!("one certificate is left");
    };
    assert_ne!(kept.id, elsewhere);
}
