//! Given an installation, when a certificate comes or goes, then these are the events or the refusal.

use domain::fingerprint::Fingerprint;
use domain::organization::{
    CERTIFICATE_LIMIT, CertificateContent, GroupRecord, GroupSettings, Organization, OrganizationCommand,
    OrganizationDecision, OrganizationError, OrganizationEvent, decide,
};
use domain::system::{
    Authority, GroupOfOrganization, System, SystemCommand, SystemError, SystemEvent, decide as decide_system,
};
use domain::{Actor, Change, Context, GroupId, NodeCertificateId, OrganizationId, Secret, Timestamp};
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
fn a_group_has_at_most_so_many_certificates() {
    let mut given = Given::group();
    given.when_added(LEAF).expect("it is one");
    let known = given
        .0
        .certificates_of(EDGE)
        .next()
        .expect("it was added")
        .as_ref()
        .clone();
    let others = (1..CERTIFICATE_LIMIT).map(|number| {
        let mut certificate = known.clone();
        certificate.id = NodeCertificateId(Uuid::from_u128(number as u128));
        certificate.content.fingerprint = Fingerprint([number as u8; 32]);
        OrganizationEvent::NodeCertificateAdded { certificate }
    });
    given.0.apply(&change(3, &others.collect::<Vec<_>>()));
    assert!(matches!(
        given.when_added(KONGS),
        Err(OrganizationError::Limit {
            limit: CERTIFICATE_LIMIT,
            ..
        })
    ));
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

const OURS: GroupOfOrganization = GroupOfOrganization {
    organization: OrganizationId(Uuid::from_u128(1)),
    group: EDGE,
};
const OUR_OTHER: GroupOfOrganization = GroupOfOrganization {
    group: GroupId(Uuid::from_u128(0xE1)),
    ..OURS
};
const THEIRS: GroupOfOrganization = GroupOfOrganization {
    organization: OrganizationId(Uuid::from_u128(2)),
    group: GroupId(Uuid::from_u128(0xE2)),
};
const ONE: Fingerprint = Fingerprint([1; 32]);

/// An installation whose built-in CA is [`AUTHORITY`].
struct GivenSystem(System);

impl GivenSystem {
    fn installed() -> Self {
        let mut system = System::default();
        let authority = Authority {
            certificate: AUTHORITY.to_owned(),
            key: Secret::new(String::new()),
        };
        system.apply(&change(1, &[SystemEvent::AuthorityCreated { authority }]));
        Self(system)
    }

    fn when(&mut self, command: &SystemCommand) -> Result<Vec<SystemEvent>, SystemError> {
        let events = decide_system(&self.0, command, &Context::new(NOW, [0; 32]))?;
        self.0.apply(&change(self.0.version + 1, &events));
        Ok(events)
    }

    fn when_claimed(
        &mut self,
        by: GroupOfOrganization,
        from: Option<GroupOfOrganization>,
    ) -> Result<Vec<SystemEvent>, SystemError> {
        self.when(&SystemCommand::ClaimCertificate {
            fingerprint: ONE,
            by,
            from,
        })
    }

    fn holder(&self) -> Option<GroupOfOrganization> {
        self.0.certificates.get(&ONE).map(|claim| claim.by)
    }
}

#[test]
fn a_certificate_belongs_to_one_group_of_the_installation() {
    let mut given = GivenSystem::installed();
    given.when_claimed(OURS, None).expect("it is free");
    assert_eq!(given.when_claimed(OURS, None), Ok(Vec::new()), "already so");
    let taken = given.when_claimed(OUR_OTHER, None).expect_err("it is taken");
    assert_eq!(taken, SystemError::CertificateTaken { holder: Some(EDGE) });
    assert!(taken.to_string().contains(&EDGE.to_string()), "{taken}");
    assert_eq!(given.holder(), Some(OURS));
}

#[test]
fn another_organizations_group_is_not_named() {
    let mut given = GivenSystem::installed();
    given.when_claimed(THEIRS, None).expect("it is free");
    let taken = given.when_claimed(OURS, None).expect_err("it is taken");
    assert_eq!(taken, SystemError::CertificateTaken { holder: None });
    assert!(!taken.to_string().contains(&THEIRS.group.to_string()), "{taken}");
}

#[test]
fn a_claim_is_taken_over_only_from_the_group_that_was_found_deleted() {
    let mut given = GivenSystem::installed();
    given.when_claimed(OURS, None).expect("it is free");
    given
        .when_claimed(THEIRS, Some(OUR_OTHER))
        .expect_err("its holder is another group");
    given
        .when_claimed(THEIRS, Some(OURS))
        .expect("its holder is deleted");
    assert_eq!(given.holder(), Some(THEIRS));
}

#[test]
fn a_group_releases_its_own_claims_only() {
    let mut given = GivenSystem::installed();
    given.when_claimed(OURS, None).expect("it is free");
    let release = |by| SystemCommand::ReleaseCertificate { fingerprint: ONE, by };
    assert_eq!(given.when(&release(THEIRS)), Ok(Vec::new()));
    assert_eq!(given.holder(), Some(OURS));
    given.when(&release(OURS)).expect("it is its own");
    assert_eq!(given.holder(), None);
}

#[test]
fn the_built_in_authority_can_be_no_groups() {
    let mut given = GivenSystem::installed();
    let fingerprint = CertificateContent::of_pem(AUTHORITY)
        .expect("a certificate")
        .fingerprint;
    let refused = given.when(&SystemCommand::ClaimCertificate {
        fingerprint,
        by: OURS,
        from: None,
    });
    assert_eq!(refused, Err(SystemError::BuiltInAuthority));
}
