//! Whose a certificate is: no group has one that meets another group's.

use domain::fingerprint::Fingerprint;
use domain::system::certificate_claim::meetings;
use domain::system::{
    Authority, ClaimedCertificate, GroupOfOrganization, Possession, System, SystemCommand, SystemError,
    SystemEvent, Wanted, decide,
};
use domain::{Context, GroupId, OrganizationId, Secret};
use uuid::Uuid;

use crate::made::{Made, altered, claimed};
use crate::{AUTHORITY, EDGE, KONGS, LEAF, NOW, change};

pub(crate) const OURS: GroupOfOrganization = GroupOfOrganization {
    organization: OrganizationId(Uuid::from_u128(1)),
    group: EDGE,
};
const OUR_OTHER: GroupOfOrganization = GroupOfOrganization {
    group: GroupId(Uuid::from_u128(0xE1)),
    ..OURS
};
pub(crate) const THEIRS: GroupOfOrganization = GroupOfOrganization {
    organization: OrganizationId(Uuid::from_u128(2)),
    group: GroupId(Uuid::from_u128(0xE2)),
};

/// An installation of one organization whose built-in CA is [`AUTHORITY`].
pub(crate) struct GivenSystem(pub(crate) System);

impl GivenSystem {
    pub(crate) fn installed() -> Self {
        Self::installed_with(AUTHORITY)
    }

    fn installed_with(authority: &str) -> Self {
        let mut system = System::default();
        let authority = Authority {
            certificate: authority.to_owned(),
            key: Secret::new("the key".to_owned()),
        };
        let log_id = Uuid::from_u128(7);
        let events = [
            SystemEvent::Initialized { log_id },
            SystemEvent::AuthorityCreated { authority },
        ];
        system.apply(&change(1, &events));
        let mut given = Self(system);
        given.organization(OURS.organization);
        given
    }

    pub(crate) fn organization(&mut self, id: OrganizationId) {
        let name = id.to_string();
        let event = SystemEvent::OrganizationRegistered { id, name };
        self.0.apply(&change(self.0.version + 1, &[event]));
    }

    fn when(&mut self, command: &SystemCommand) -> Result<Vec<SystemEvent>, SystemError> {
        let events = decide(&self.0, command, &Context::new(NOW, [0; 32]))?;
        self.0.apply(&change(self.0.version + 1, &events));
        Ok(events)
    }

    pub(crate) fn when_wanted(
        &mut self,
        certificate: &ClaimedCertificate,
        by: GroupOfOrganization,
        possession: Possession,
    ) -> Result<Vec<SystemEvent>, SystemError> {
        self.when(&SystemCommand::ClaimCertificate(Wanted {
            certificate: certificate.clone(),
            by,
            from: Vec::new(),
            possession,
        }))
    }

    fn when_claimed(
        &mut self,
        certificate: &ClaimedCertificate,
        by: GroupOfOrganization,
    ) -> Result<Vec<SystemEvent>, SystemError> {
        self.when_wanted(certificate, by, Possession::Known)
    }

    fn when_taken(
        &mut self,
        certificate: &ClaimedCertificate,
        by: GroupOfOrganization,
        from: GroupOfOrganization,
    ) -> Result<Vec<SystemEvent>, SystemError> {
        self.when(&SystemCommand::ClaimCertificate(Wanted {
            certificate: certificate.clone(),
            by,
            from: vec![from],
            possession: Possession::Known,
        }))
    }

    fn holder(&self, certificate: &ClaimedCertificate) -> Option<GroupOfOrganization> {
        let claim = self.0.certificates.get(&certificate.fingerprint());
        claim.map(|claim| claim.by)
    }
}

#[test]
fn a_certificate_belongs_to_one_group_of_the_installation_and_nobody_is_told_which() {
    let mut given = GivenSystem::installed();
    let leaf = claimed(LEAF);
    given.when_claimed(&leaf, OURS).expect("it is free");
    assert_eq!(given.when_claimed(&leaf, OURS), Ok(Vec::new()), "already so");
    for other in [OUR_OTHER, THEIRS] {
        let taken = given.when_claimed(&leaf, other).expect_err("it is taken");
        assert_eq!(taken, SystemError::CertificateTaken);
        assert!(!taken.to_string().contains(&EDGE.to_string()), "{taken}");
    }
    assert_eq!(given.holder(&leaf), Some(OURS));
}

#[test]
fn an_instances_certificate_is_not_given_to_another_group_than_its_authoritys() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    given.when_claimed(&root.claimed(), OURS).expect("it is free");
    let leaf = root.leaf("victim").claimed();
    let taken = given.when_claimed(&leaf, THEIRS);
    assert_eq!(taken, Err(SystemError::CertificateTaken));
    given
        .when_claimed(&leaf, OURS)
        .expect("its authority is the group's own");
}

#[test]
fn an_authority_between_is_not_given_to_another_group_than_the_one_above() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    given.when_claimed(&root.claimed(), OURS).expect("it is free");
    let between = root.below("between").claimed();
    assert_eq!(
        given.when_claimed(&between, THEIRS),
        Err(SystemError::CertificateTaken)
    );
}

#[test]
fn an_authority_above_what_another_group_has_is_refused() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    let between = root.below("between");
    let leaf = between.leaf("edge");
    given.when_claimed(&leaf.claimed(), OURS).expect("it is free");
    let above = between.claimed();
    assert_eq!(
        given.when_claimed(&above, THEIRS),
        Err(SystemError::CertificateTaken)
    );
    given
        .when_claimed(&above, OURS)
        .expect("all of it is the group's own");
    assert_eq!(
        given.when_claimed(&root.claimed(), THEIRS),
        Err(SystemError::CertificateTaken)
    );
}

#[test]
fn an_authority_is_its_subject_and_key_whatever_its_bytes_are() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    given.when_claimed(&root.claimed(), OURS).expect("it is free");
    let flipped = claimed(&altered(&root.pem()));
    let renamed = Made::root("own").with_the_key_of("another name", &root).claimed();
    for copy in [flipped, renamed] {
        assert_ne!(copy.fingerprint(), root.claimed().fingerprint());
        assert_eq!(
            given.when_claimed(&copy, THEIRS),
            Err(SystemError::CertificateTaken)
        );
    }
}

#[test]
fn a_name_alone_takes_nothing_from_anybody() {
    let mut given = GivenSystem::installed();
    let (root, namesake) = (Made::root("root"), Made::root("root"));
    given.when_claimed(&root.claimed(), OURS).expect("it is free");
    given
        .when_claimed(&namesake.claimed(), THEIRS)
        .expect("it has a key of its own");
    given
        .when_claimed(&root.leaf("edge").claimed(), OURS)
        .expect("the namesake didn't issue it");
}

#[test]
fn a_claim_is_taken_over_only_from_the_group_that_was_found_deleted() {
    let mut given = GivenSystem::installed();
    let leaf = claimed(LEAF);
    given.when_claimed(&leaf, OURS).expect("it is free");
    given
        .when_taken(&leaf, THEIRS, OUR_OTHER)
        .expect_err("its holder is another group");
    given
        .when_taken(&leaf, THEIRS, OURS)
        .expect("its holder is deleted");
    assert_eq!(given.holder(&leaf), Some(THEIRS));
}

#[test]
fn what_a_deleted_group_had_above_a_certificate_goes_with_it() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    given.when_claimed(&root.claimed(), OURS).expect("it is free");
    let leaf = root.leaf("edge").claimed();
    given
        .when_taken(&leaf, THEIRS, OURS)
        .expect("its holder is deleted");
    assert_eq!(given.holder(&leaf), Some(THEIRS));
    assert_eq!(given.holder(&root.claimed()), None);
    assert_eq!(
        given.when_claimed(&root.claimed(), OURS),
        Err(SystemError::CertificateTaken),
        "a restored group gets nothing back that meets what others have"
    );
}

#[test]
fn a_group_releases_its_own_claims_only() {
    let mut given = GivenSystem::installed();
    let leaf = claimed(LEAF);
    given.when_claimed(&leaf, OURS).expect("it is free");
    let fingerprint = leaf.fingerprint();
    let release = |by| SystemCommand::ReleaseCertificate { fingerprint, by };
    assert_eq!(given.when(&release(THEIRS)), Ok(Vec::new()));
    assert_eq!(given.holder(&leaf), Some(OURS));
    given.when(&release(OURS)).expect("it is its own");
    assert_eq!(given.holder(&leaf), None);
}

#[test]
fn the_built_in_authority_and_what_stands_above_or_below_it_can_be_no_groups() {
    let above = Made::root("above");
    let built_in = above.below("built in");
    let mut given = GivenSystem::installed_with(&built_in.pem());
    let copies = [
        built_in.claimed(),
        claimed(&altered(&built_in.pem())),
        above.claimed(),
        built_in.below("below").claimed(),
    ];
    for certificate in copies {
        assert_eq!(
            given.when_claimed(&certificate, OURS),
            Err(SystemError::BuiltInAuthority)
        );
    }
    given
        .when_claimed(&built_in.leaf("edge").claimed(), OURS)
        .expect("it issues for every group");
}

#[test]
fn a_claim_of_old_is_told_what_it_is_and_meets_others_from_then_on() {
    let mut given = GivenSystem::installed();
    let root = Made::root("root");
    let (fingerprint, by) = (root.claimed().fingerprint(), OURS);
    let old = SystemEvent::CertificateClaimed {
        fingerprint,
        by,
        certificate: None,
    };
    given.0.apply(&change(given.0.version + 1, &[old]));
    assert_eq!(
        given.when_claimed(&root.claimed(), THEIRS),
        Err(SystemError::CertificateTaken)
    );
    let told = given.when_claimed(&root.claimed(), OURS).expect("it is its own");
    assert_eq!(told.len(), 1);
    assert_eq!(
        given.when_claimed(&root.leaf("edge").claimed(), THEIRS),
        Err(SystemError::CertificateTaken)
    );
}

#[test]
fn what_meets_already_is_found() {
    let (root, other) = (Made::root("root"), Made::root("root"));
    let held = [
        (OURS, root.claimed()),
        (THEIRS, other.claimed()),
        (THEIRS, root.leaf("victim").claimed()),
        (OURS, root.leaf("edge").claimed()),
        (THEIRS, claimed(&altered(&root.pem()))),
    ];
    assert_eq!(meetings(&held), [(0, 2), (0, 4), (3, 4)]);
}

#[test]
fn certificates_of_everybodys_tools_are_read() {
    for pem in [LEAF, KONGS, AUTHORITY] {
        assert_ne!(claimed(pem).fingerprint(), Fingerprint([0; 32]));
    }
}
