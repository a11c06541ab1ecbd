//! The installation in memory: the command bus, its decisions and the gatekeeper are the real ones.

use std::sync::Arc;

use api::certificate_issuing::{DEFAULT_DAYS, issue};
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
use domain::system::possession::CHALLENGE_SECONDS;
use domain::system::{Authority, GroupOfOrganization, Possession, SignedChallenge, possession};
use domain::token::TokenHash;
use domain::{Cause, Clock as _, GroupId, OrganizationId};
use rcgen::{KeyPair, SigningKey as _};
use rustls::pki_types::CertificateDer;
use tests::data_plane::Pair;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::belongings::{Belongings, Known, Side, everything};
use crate::steps::{Proof, Step};

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(1));

/// The installation with a group for each.
pub(crate) struct Installation {
    bus: CommandBus,
    groups: [GroupId; 2],
    known: Vec<Known>,
    authority: Authority,
    /// What the built-in CA has issued, and to whom.
    issued: Vec<(Side, Pair)>,
    /// One that has been there from the beginning, and remembers whom it let in.
    gatekeeper: Gatekeeper,
    _tasks: Tasks,
}

impl Installation {
    pub(crate) async fn with(belongings: &[Belongings; 2]) -> Self {
        let tasks = Tasks::default();
        let bus = CommandBus::new(bus::Options {
            log: Arc::new(MemoryLog::new()),
            keyring: Arc::new(MemoryKeyring::in_memory()),
            states: None,
            follower: None,
            clock: Arc::new(SystemClock),
            spawner: Arc::new(tasks.clone()),
            deadline: bus::DEADLINE,
            group_retention: None,
            sandbox: Arc::new(ProcessSandbox::new(Program::this())),
        });
        let authority = authority::create(SystemClock.now()).expect("a CA");
        let first = FirstStart {
            log_id: Uuid::from_u128(7),
            organization: ORGANIZATION,
            name: "both".to_owned(),
            authority: authority.clone(),
            admin: TokenHash([1; 32]),
        };
        bootstrap(&bus, first).await.expect("a fresh log");
        let mut groups = [GroupId(Uuid::nil()); 2];
        for (group, side) in groups.iter_mut().zip(Side::BOTH) {
            let new = NewGroup {
                name: side.name().to_owned(),
                ..NewGroup::default()
            };
            let command = OrganizationCommand::CreateGroup(new);
            let made = bus.organization(ORGANIZATION, command, cause()).await;
            *group = made.expect("a new name").outcome.group.expect("a group").id;
        }
        Self {
            gatekeeper: gatekeeper(&bus),
            bus,
            groups,
            known: everything(belongings, &authority.certificate),
            authority,
            issued: Vec::new(),
            _tasks: tasks,
        }
    }

    pub(crate) const fn group(&self, side: Side) -> GroupId {
        self.groups[side as usize]
    }

    pub(crate) const fn known_certificates(&self) -> usize {
        self.known.len()
    }

    /// What the instances of one of them show.
    pub(crate) fn instances(
        &self,
        side: Side,
        belongings: &[Belongings; 2],
    ) -> Vec<Vec<CertificateDer<'static>>> {
        let issued = self.issued.iter().filter(|(to, _)| *to == side);
        let issued = issued.map(|(_, pair)| pair);
        let own = belongings[side as usize].instances.iter();
        own.chain(issued).map(Pair::chain).collect()
    }

    pub(crate) async fn make(&mut self, step: &Step) {
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
            Step::Issue(side) => self.issue(side),
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
            Step::Purge(side) => OrganizationCommand::PurgeGroup {
                group: self.groups[side as usize],
                expected: None,
            },
        };
        // Refusals are what is hoped for half of the time.
        drop(self.bus.organization(ORGANIZATION, command, cause()).await);
    }

    /// Has a certificate issued, as the API does it; the other one gets to know it.
    fn issue(&mut self, side: Side) -> OrganizationCommand {
        let issued = issue(&self.authority, side.name(), SystemClock.now(), DEFAULT_DAYS);
        let issued = issued.expect("the CA issues");
        let pair = Pair {
            certificate: issued.certificate,
            key: issued.key.expose().to_owned(),
        };
        self.known.push(Known {
            pair: pair.clone(),
            keyholder: Some(side),
        });
        self.issued.push((side, pair.clone()));
        OrganizationCommand::AddNodeCertificate {
            group: self.groups[side as usize],
            pem: pair.certificate,
            name: None,
            possession: Possession::Known,
        }
    }

    async fn possession(&self, side: Side, known: &Known, proof: Proof) -> Possession {
        let mine = || Pair::of("mine").key;
        let owners = || match known.keyholder {
            Some(_) => known.pair.key.clone(),
            None => mine(),
        };
        let now = SystemClock.now();
        let (challenged, at, key) = match proof {
            Proof::Nothing => return Possession::Unproven,
            Proof::OwnGroup if known.keyholder == Some(side) => (side, now, owners()),
            Proof::OwnGroup => (side, now, mine()),
            Proof::Overheard => (known.keyholder.unwrap_or(side), now, owners()),
            Proof::Stale => (side, now.plus_seconds(-CHALLENGE_SECONDS - 1), owners()),
        };
        let by = GroupOfOrganization {
            organization: ORGANIZATION,
            group: self.group(challenged),
        };
        let system = self.bus.system_state().await.expect("readable");
        let made = possession::challenge(&system.state, by, at);
        let (challenge, _) = made.expect("the installation has a CA");
        Possession::Signed(SignedChallenge {
            signature: signature(&challenge, &key),
            challenge,
        })
    }

    /// The groups that an instance is let into: by somebody who has just come, and by who remembers it.
    pub(crate) async fn admits(&self, chain: &[CertificateDer<'static>]) -> Vec<GroupId> {
        let mut groups = Vec::new();
        for gatekeeper in [&gatekeeper(&self.bus), &self.gatekeeper] {
            let pass = gatekeeper.admit_certificate(chain).await.ok();
            groups.extend(pass.map(|pass| pass.admission.group));
        }
        groups
    }
}

/// The signature of a challenge, as it is sent.
pub(crate) fn signature(challenge: &str, key: &str) -> String {
    let key = KeyPair::from_pem(key).expect("a key");
    let signature = key.sign(challenge.as_bytes()).expect("the key signs");
    STANDARD.encode(signature)
}

fn gatekeeper(bus: &CommandBus) -> Gatekeeper {
    let certificates = Arc::new(Held(bus.clone()));
    let end = CancellationToken::new();
    Gatekeeper::new(Arc::new(NoTokens), certificates, Arc::new(SystemClock), end)
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
