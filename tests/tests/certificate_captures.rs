//! Whatever the admins of two groups do with certificates, no instance of the one is answered by the other.
//!
//! The command bus, its decisions and the gatekeeper are the real ones; the log is in memory. Each admin adds its own
//! certificates, the other's, and copies of them: altered, renamed, or issued anew for the other's keys.

use std::sync::Arc;

use api::clock::SystemClock;
use api::compose::authority;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use commands::bootstrap::{FirstStart, bootstrap};
use commands::bus::{self, CommandBus};
use commands::keyring::MemoryKeyring;
use commands::log::MemoryLog;
use commands::sandbox::{ProcessSandbox, Program};
use commands::tasks::Tasks;
use dataplane_sync::gatekeeper::Gatekeeper;
use dataplane_sync::instance_tokens::{InstanceTokens, StoredToken, TokensUnavailable};
use dataplane_sync::node_certificates::{
    CertificateHolder, CertificatesUnavailable, GroupAuthority, NodeCertificates,
};
use domain::fingerprint::Fingerprint;
use domain::gateway::Commands as _;
use domain::organization::{AuthType, GroupPatch, NewGroup, NodeCertificate, OrganizationCommand};
use domain::system::{GroupOfOrganization, Possession, SignedChallenge, possession};
use domain::token::TokenHash;
use domain::{Cause, Clock as _, GroupId, OrganizationId};
use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{KeyPair, SigningKey as _};
use rustls::pki_types::CertificateDer;
use tests::data_plane::{Authority, Pair};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(1));

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    One,
    Other,
}

impl Side {
    const BOTH: [Self; 2] = [Self::One, Self::Other];

    const fn other(self) -> Self {
        match self {
            Self::One => Self::Other,
            Self::Other => Self::One,
        }
    }
}

/// How an admin shows that a certificate is its own.
#[derive(Clone, Copy, Debug)]
enum Proof {
    Nothing,
    /// By the key, if it has it, and by a key of its own otherwise.
    OwnGroup,
    /// By what the key's owner signed for its own group.
    Overheard,
}

#[derive(Clone, Debug)]
enum Step {
    Add(Side, usize, Proof),
    Remove(Side, usize),
    Trust(Side, AuthType),
    Delete(Side),
    Restore(Side),
}

/// A certificate, and whose its key is.
struct Known {
    pair: Pair,
    keyholder: Side,
}

/// What one of them has.
struct Belongings {
    certificates: Vec<Pair>,
    /// What its instances show.
    instances: Vec<Vec<CertificateDer<'static>>>,
    root: Authority,
}

impl Belongings {
    fn of(name: &str) -> Self {
        let root = Authority::named(&format!("{name} root"));
        let between = root.below(&format!("{name} between"));
        let (near, far, alone) = (
            root.issue("near", false),
            between.issue("far", false),
            Pair::of(&format!("{name} alone")),
        );
        let instances = vec![
            vec![near.der()],
            vec![far.der(), between.pair().der()],
            vec![alone.der()],
        ];
        Self {
            certificates: vec![root.pair(), between.pair(), near, far, alone],
            instances,
            root,
        }
    }
}

/// Every certificate that either could lay its hands on.
fn everything(belongings: &[Belongings; 2]) -> Vec<Known> {
    let mut known = Vec::new();
    for (side, own) in Side::BOTH.into_iter().zip(belongings) {
        let forger = &belongings[side.other() as usize].root;
        for pair in &own.certificates {
            let altered = Pair {
                certificate: pair.altered(),
                key: pair.key.clone(),
            };
            let forged = forger.issue_for_the_key_of("forged", pair);
            let copies = [pair.clone(), altered, forged];
            known.extend(copies.map(|pair| Known {
                pair,
                keyholder: side,
            }));
        }
    }
    known
}

/// The installation with a group for each.
struct Installation {
    bus: CommandBus,
    groups: [GroupId; 2],
    known: Vec<Known>,
    _tasks: Tasks,
}

impl Installation {
    async fn of(known: Vec<Known>) -> Self {
        let tasks = Tasks::default();
        let bus = CommandBus::new(bus::Options {
            log: Arc::new(MemoryLog::new()),
            keyring: Arc::new(MemoryKeyring::in_memory()),
            states: None,
            clock: Arc::new(SystemClock),
            spawner: Arc::new(tasks.clone()),
            deadline: bus::DEADLINE,
            group_retention: None,
            sandbox: Arc::new(ProcessSandbox::new(Program::this())),
        });
        let first = FirstStart {
            log_id: Uuid::from_u128(7),
            organization: ORGANIZATION,
            name: "both".to_owned(),
            authority: authority::create(SystemClock.now()).expect("a CA"),
            admin: TokenHash([1; 32]),
        };
        bootstrap(&bus, first).await.expect("a fresh log");
        let mut groups = [GroupId(Uuid::nil()); 2];
        for (group, name) in groups.iter_mut().zip(["one", "other"]) {
            let new = NewGroup {
                name: name.to_owned(),
                ..NewGroup::default()
            };
            let command = OrganizationCommand::CreateGroup(new);
            let made = bus.organization(ORGANIZATION, command, cause()).await;
            *group = made.expect("a new name").outcome.group.expect("a group").id;
        }
        Self {
            bus,
            groups,
            known,
            _tasks: tasks,
        }
    }

    async fn make(&self, step: &Step) {
        let command = match *step {
            Step::Add(side, index, proof) => {
                let known = &self.known[index % self.known.len()];
                OrganizationCommand::AddNodeCertificate {
                    group: self.groups[side as usize],
                    pem: known.pair.alone(),
                    name: None,
                    possession: self.possession(side, known, proof).await,
                }
            }
            Step::Remove(side, index) => {
                let group = self.groups[side as usize];
                let organization = self.bus.organization_state(ORGANIZATION).await.expect("readable");
                let mut certificates = organization.state.certificates_of(group);
                let Some(certificate) = certificates.nth(index % 8).map(|certificate| certificate.id) else {
                    return;
                };
                OrganizationCommand::RemoveNodeCertificate { group, certificate }
            }
            Step::Trust(side, auth_type) => OrganizationCommand::UpdateGroup {
                group: self.groups[side as usize],
                patch: GroupPatch {
                    auth_type: Some(auth_type),
                    ..GroupPatch::default()
                },
                expected: None,
            },
            Step::Delete(side) => OrganizationCommand::DeleteGroup {
                group: self.groups[side as usize],
                expected: None,
            },
            Step::Restore(side) => OrganizationCommand::RestoreGroup {
                group: self.groups[side as usize],
                name: None,
                leave_out: Vec::new(),
            },
        };
        // Refusals are what is hoped for half of the time.
        drop(self.bus.organization(ORGANIZATION, command, cause()).await);
    }

    async fn possession(&self, side: Side, known: &Known, proof: Proof) -> Possession {
        let (group_of, key) = match proof {
            Proof::Nothing => return Possession::Unproven,
            Proof::OwnGroup if known.keyholder == side => (side, known.pair.key.clone()),
            Proof::OwnGroup => (side, Pair::of("mine").key),
            Proof::Overheard => (known.keyholder, known.pair.key.clone()),
        };
        let by = GroupOfOrganization {
            organization: ORGANIZATION,
            group: self.groups[group_of as usize],
        };
        let system = self.bus.system_state().await.expect("readable");
        let made = possession::challenge(&system.state, by, SystemClock.now());
        let (challenge, _) = made.expect("the installation has a CA");
        let key = KeyPair::from_pem(&key).expect("a key");
        let signature = key.sign(challenge.as_bytes()).expect("the key signs");
        Possession::Signed(SignedChallenge {
            challenge,
            signature: STANDARD.encode(signature),
        })
    }

    /// The group that an instance is let into, if any.
    async fn admits(&self, chain: &[CertificateDer<'static>]) -> Option<GroupId> {
        let certificates = Arc::new(Held(self.bus.clone()));
        let end = CancellationToken::new();
        let gatekeeper = Gatekeeper::new(Arc::new(NoTokens), certificates, Arc::new(SystemClock), end);
        let pass = gatekeeper.admit_certificate(chain).await.ok()?;
        Some(pass.admission.group)
    }
}

fn cause() -> Cause {
    Cause::system("test")
}

/// The certificates that have both a record and a claim, as the views answer them.
struct Held(CommandBus);

impl Held {
    async fn all(&self) -> Vec<(NodeCertificate, CertificateHolder, AuthType)> {
        let system = self.0.system_state().await.expect("readable");
        let organization = self.0.organization_state(ORGANIZATION).await.expect("readable");
        let held = organization
            .state
            .certificates
            .values()
            .filter_map(|certificate| {
                let claim = system.state.certificates.get(&certificate.content.fingerprint)?;
                let group = organization.state.groups.get(&certificate.group)?;
                let holder = CertificateHolder {
                    organization: ORGANIZATION,
                    group: certificate.group,
                    certificate: certificate.id.0,
                    group_exists: group.deleted_at.is_none(),
                    runtime_type: None,
                };
                let auth_type = group.settings.auth_type;
                (claim.by.group == certificate.group)
                    .then(|| (certificate.as_ref().clone(), holder, auth_type))
            });
        held.collect()
    }
}

#[async_trait]
impl NodeCertificates for Held {
    async fn pinned(
        &self,
        fingerprint: Fingerprint,
    ) -> Result<Option<CertificateHolder>, CertificatesUnavailable> {
        let all = self.all().await;
        let found = all
            .into_iter()
            .find(|(certificate, ..)| certificate.content.fingerprint == fingerprint);
        Ok(found.map(|(_, holder, _)| holder))
    }

    async fn pinned_now(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<Option<CertificateHolder>>, CertificatesUnavailable> {
        let mut holders = Vec::new();
        for fingerprint in fingerprints {
            holders.push(self.pinned(*fingerprint).await?);
        }
        Ok(holders)
    }

    async fn authorities(&self) -> Result<Arc<[GroupAuthority]>, CertificatesUnavailable> {
        let all = self.all().await.into_iter();
        let trusted = all.filter(|(certificate, _, auth_type)| {
            certificate.content.is_ca && *auth_type == AuthType::PkiClientCerts
        });
        let authorities = trusted.map(|(certificate, holder, _)| GroupAuthority {
            holder,
            der: certificate.content.der().expect("it was added"),
        });
        Ok(authorities.collect())
    }
}

struct NoTokens;

#[async_trait]
impl InstanceTokens for NoTokens {
    async fn token(&self, _hash: TokenHash) -> Result<Option<StoredToken>, TokensUnavailable> {
        Ok(None)
    }

    async fn tokens(&self, hashes: &[TokenHash]) -> Result<Vec<Option<StoredToken>>, TokensUnavailable> {
        Ok(vec![None; hashes.len()])
    }
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::One), Just(Side::Other)]
}

fn step() -> impl Strategy<Value = Step> {
    let proof = prop_oneof![
        1 => Just(Proof::Nothing),
        6 => Just(Proof::OwnGroup),
        2 => Just(Proof::Overheard)
    ];
    let auth_type = prop_oneof![
        3 => Just(AuthType::PkiClientCerts),
        1 => Just(AuthType::PinnedClientCerts)
    ];
    prop_oneof![
        12 => (side(), any::<usize>(), proof).prop_map(|(side, index, proof)| Step::Add(side, index, proof)),
        3 => (side(), any::<usize>()).prop_map(|(side, index)| Step::Remove(side, index)),
        3 => (side(), auth_type).prop_map(|(side, auth_type)| Step::Trust(side, auth_type)),
        1 => side().prop_map(Step::Delete),
        2 => side().prop_map(Step::Restore),
    ]
}

fn cases() -> u32 {
    let said = std::env::var("CERTIFICATE_CASES").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_commands_of_two_admins_let_an_instance_of_the_one_be_answered_by_the_other(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answered_by_another = runtime.block_on(async {
            let belongings = [Belongings::of("one"), Belongings::of("other")];
            let installation = Installation::of(everything(&belongings)).await;
            for side in Side::BOTH {
                installation.make(&Step::Trust(side, AuthType::PkiClientCerts)).await;
            }
            for (number, step) in steps.iter().enumerate() {
                installation.make(step).await;
                for (side, own) in Side::BOTH.into_iter().zip(&belongings) {
                    for chain in &own.instances {
                        if let Some(group) = installation.admits(chain).await
                            && group != installation.groups[side as usize]
                        {
                            return Some((number, side));
                        }
                    }
                }
            }
            None
        });
        prop_assert_eq!(answered_by_another, None);
    }
}

#[tokio::test]
async fn each_admin_has_its_own_instances_let_in() {
    let belongings = [Belongings::of("one"), Belongings::of("other")];
    let installation = Installation::of(everything(&belongings)).await;
    for side in Side::BOTH {
        installation
            .make(&Step::Trust(side, AuthType::PkiClientCerts))
            .await;
        for index in 0..installation.known.len() {
            installation.make(&Step::Add(side, index, Proof::OwnGroup)).await;
        }
    }
    for (side, own) in Side::BOTH.into_iter().zip(&belongings) {
        for chain in &own.instances {
            assert_eq!(
                installation.admits(chain).await,
                Some(installation.groups[side as usize])
            );
        }
    }
}
