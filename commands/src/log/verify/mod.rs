//! `log verify`: walks the whole log and checks all that can be checked. [`rounds`]: the same walk beside a server's work.

mod rounds;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use domain::chain::{Accepted, BoundaryChain, ChainError, SealedCommit};
use domain::codec::DecodeError;
use domain::commit::Changes;
use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::signing::PublicKey;
use domain::system::SystemEvent;
use domain::{Boundary, Commit, Digest, EventLog, Keyring, Position, Record};
use futures::StreamExt;
use uuid::Uuid;

use self::rounds::Pace;
use super::archive::Progress;
use super::head::{HeadError, LogHead, SignedHead, running_digest};
use super::witness::{WitnessError, WitnessReader, WitnessedHead, read_head};

pub use self::rounds::Rounds;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It can't be read to its end.
    #[error("position {position}: {source}")]
    Unreadable {
        /// The first that can't be read.
        position: Position,
        /// Why.
        source: ReadError,
    },
    /// What the engine keeps beside the records is wrong.
    #[error(transparent)]
    Storage(ReadError),
    /// A record can't stand where it stands.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A commit's changes can't be decoded.
    #[error("position {position} ({boundary}): {source}")]
    Changes {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: DecodeError,
    },
    /// The keyring lacks a key that a commit needs.
    #[error("position {position} ({boundary}): {source}")]
    Keyring {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: KeyringError,
    },
    /// The data directory's files can't be read.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A head isn't one that this installation signed.
    #[error("the {name}: {source}")]
    Head {
        /// Which head.
        name: &'static str,
        /// What is wrong with it.
        source: HeadError,
    },
    /// A head was signed for another log.
    #[error("position 1: this is the log {found}, the {name} was signed for the log {signed}")]
    OtherLog {
        /// Which head.
        name: &'static str,
        /// The log's identity.
        found: Uuid,
        /// The head's.
        signed: Uuid,
    },
    /// The log is shorter than a head.
    #[error(
        "position {position}: the record is gone: the log ends at {tail}, the {name} was signed at {signed}; restore the log from an export"
    )]
    LostTail {
        /// The first that is missing.
        position: Position,
        /// Where the log ends.
        tail: Position,
        /// Which head.
        name: &'static str,
        /// Where it was signed.
        signed: Position,
    },
    /// A record isn't the one that was witnessed.
    #[error(
        "position {position}: this is not the record that was witnessed: the log was altered, restore it from an export"
    )]
    Altered {
        /// The first such record.
        position: Position,
    },
    /// The records are right, but their witness isn't.
    #[error(
        "position {position}: the file `witness` was altered, the log is what its head was signed for; remove head.json and witness while \
         the server is stopped to have them made anew"
    )]
    AlteredWitness {
        /// The first digest that isn't the log's.
        position: Position,
    },
    /// The records up to a head aren't those it was signed for, and nothing says which of them was altered.
    #[error(
        "position {position}: the records up to here are not those that the {name} was signed for: the log was altered, restore it from an \
         export"
    )]
    NotWhatWasSigned {
        /// The head's position.
        position: Position,
        /// Which head.
        name: &'static str,
    },
}

/// What the log is compared with, beside itself; nothing by default.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The data directory's head.
    local: Option<LogHead>,
    /// The digests up to it.
    witness: Option<WitnessReader>,
    /// A head that somebody kept elsewhere.
    archived: Option<LogHead>,
}

/// What was found to compare the log with; whose signatures they are isn't checked yet.
#[derive(Debug)]
pub struct UncheckedEvidence {
    local: Option<SignedHead>,
    witness: Option<WitnessReader>,
    archived: Option<SignedHead>,
}

impl UncheckedEvidence {
    /// What is in a data directory, and a head kept elsewhere. Read it before the log is opened: a server that runs signs on
    /// meanwhile, and a head must not be newer than the end of the log that is verified.
    pub fn read(directory: &Path, archived: Option<SignedHead>) -> Result<Self, VerifyError> {
        let local = match read_head(directory)? {
            WitnessedHead::Signed(head) => Some(head),
            WitnessedHead::Missing => None,
        };
        Ok(Self {
            local,
            witness: WitnessReader::open(directory)?,
            archived,
        })
    }

    /// Refuses heads that weren't signed with this installation's key.
    pub fn check(self, key: &PublicKey) -> Result<Evidence, VerifyError> {
        let local = checked(self.local, LOCAL, key)?;
        Ok(Evidence {
            local,
            // Digests that nobody signed show nothing.
            witness: self.witness.filter(|_| local.is_some()),
            archived: checked(self.archived, ARCHIVED, key)?,
        })
    }
}

/// What was signed, if it was signed with this key.
fn checked(
    head: Option<SignedHead>,
    name: &'static str,
    key: &PublicKey,
) -> Result<Option<LogHead>, VerifyError> {
    let Some(signed) = head else { return Ok(None) };
    let checked = signed.check(key);
    checked.map_err(|source| VerifyError::Head { name, source })?;
    Ok(Some(signed.head))
}

/// What a log without a fault holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records, one to a position.
    pub records: u64,
    /// Whole commits.
    pub commits: u64,
    /// Boundaries.
    pub boundaries: u64,
    /// Where the data directory's head was signed; nothing vouches for the records after it but their hash chains.
    pub head: Option<Position>,
}

/// Checks that positions have no gaps, each boundary's hash chain holds, every commit decodes and opens, every record is the
/// one that was witnessed, and the heads are what this installation signed for it. Names the first fault.
pub async fn verify(
    log: &dyn EventLog,
    keyring: &dyn Keyring,
    evidence: Evidence,
    progress: impl FnMut(Progress),
) -> Result<Verified, VerifyError> {
    let pace = &mut Pace::of_a_run();
    let verified = walk(log, keyring, evidence, Depth::Everything, pace, progress).await?;
    log.check_storage().await.map_err(VerifyError::Storage)?;
    Ok(verified)
}

/// How much of a commit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Its changes decode, and their secrets open.
    Everything,
    /// It stands on the commit before it; that no bit of it was altered shows in the one after it and in the witness. The commits of
    /// the system, few and small, are opened: they say which log it is.
    Chains,
}

/// The walk itself, without what the engine keeps beside the records.
async fn walk(
    log: &dyn EventLog,
    keyring: &dyn Keyring,
    evidence: Evidence,
    depth: Depth,
    pace: &mut Pace,
    mut progress: impl FnMut(Progress),
) -> Result<Verified, VerifyError> {
    let last = log.tail().await.map_err(|source| VerifyError::Unreadable {
        position: Position::START,
        source,
    })?;
    let mut comparison = Comparison::new(evidence, last)?;
    let mut records = log.follow(Position::START);
    let mut chains = HashMap::<Boundary, BoundaryChain>::new();
    let mut verified = Verified {
        head: comparison.evidence.local.map(|head| head.position),
        ..Verified::default()
    };
    while verified.records < last.0 {
        let position = Position(verified.records + 1);
        let ended = || ReadError::Unavailable("the log was closed".to_owned());
        let record = records.next().await.ok_or_else(ended).flatten();
        let checked = match record {
            Ok(record) => {
                comparison.take(&record)?;
                match check(&record, &mut chains) {
                    Ok(Some(commit)) => {
                        verified.commits += 1;
                        let opens = depth == Depth::Everything || commit.boundary == Boundary::System;
                        match opens {
                            true => open(&commit, keyring).await.map(Some),
                            false => Ok(None),
                        }
                    }
                    Ok(None) => Ok(None),
                    Err(fault) => Err(fault),
                }
            }
            Err(source) => Err(VerifyError::Unreadable { position, source }),
        };
        // An altered record breaks the chain only at the one after it.
        if let Some(commit) = checked.map_err(|fault| comparison.explain(fault))? {
            comparison.identify(&commit)?;
        }
        verified.records += 1;
        progress(Progress { position, last });
        pace.rest().await;
    }
    verified.boundaries = chains.len() as u64;
    Ok(verified)
}

const LOCAL: &str = "head in head.json";
const ARCHIVED: &str = "head given with --head";

/// The comparison on the way through the log.
struct Comparison {
    evidence: Evidence,
    digest: Digest,
    /// The first record that isn't the witnessed one. Whether the record or the witness is wrong shows at the head.
    suspect: Option<Position>,
}

impl Comparison {
    fn new(evidence: Evidence, tail: Position) -> Result<Self, VerifyError> {
        for (head, name) in [(evidence.local, LOCAL), (evidence.archived, ARCHIVED)] {
            if let Some(LogHead { position: signed, .. }) = head
                && signed > tail
            {
                let position = tail.next();
                return Err(VerifyError::LostTail {
                    position,
                    tail,
                    name,
                    signed,
                });
            }
        }
        Ok(Self {
            evidence,
            digest: Digest::ZERO,
            suspect: None,
        })
    }

    /// Takes the next record.
    fn take(&mut self, record: &Record) -> Result<(), VerifyError> {
        let position = record.position;
        self.digest = running_digest(self.digest, record);
        let witnessed = self
            .evidence
            .witness
            .as_mut()
            .and_then(WitnessReader::next_digest);
        if witnessed.is_some_and(|witnessed| witnessed != self.digest) && self.suspect.is_none() {
            self.suspect = Some(position);
        }
        if let Some(head) = self.evidence.local.filter(|head| head.position == position) {
            self.evidence.witness = None;
            let suspect = self.suspect.take();
            return match (head.digest == self.digest, suspect) {
                (true, None) => self.compare_archived(position),
                (true, Some(position)) => Err(VerifyError::AlteredWitness { position }),
                (false, Some(position)) => Err(VerifyError::Altered { position }),
                (false, None) => Err(VerifyError::NotWhatWasSigned {
                    position,
                    name: LOCAL,
                }),
            };
        }
        self.compare_archived(position)
    }

    fn compare_archived(&self, position: Position) -> Result<(), VerifyError> {
        let differs = |head: LogHead| head.position == position && head.digest != self.digest;
        if !self.evidence.archived.is_some_and(differs) {
            return Ok(());
        }
        Err(match self.suspect {
            Some(position) => VerifyError::Altered { position },
            None => VerifyError::NotWhatWasSigned {
                position,
                name: ARCHIVED,
            },
        })
    }

    /// Compares the identity that the log gives itself in its first commit.
    fn identify(&self, commit: &Commit) -> Result<(), VerifyError> {
        let Some(found) = log_id(commit) else {
            return Ok(());
        };
        let heads = [(self.evidence.local, LOCAL), (self.evidence.archived, ARCHIVED)];
        let other = heads
            .into_iter()
            .find_map(|(head, name)| Some((head.filter(|head| head.log != found)?.log, name)));
        match other {
            Some((signed, name)) => Err(VerifyError::OtherLog { name, found, signed }),
            None => Ok(()),
        }
    }

    /// The fault, or the altered record before it that it comes from.
    fn explain(&self, fault: VerifyError) -> VerifyError {
        match self.suspect {
            Some(position) => VerifyError::Altered { position },
            None => fault,
        }
    }
}

/// The log's identity, if this is the commit that made it.
fn log_id(commit: &Commit) -> Option<Uuid> {
    let Changes::System(changes) = &commit.changes else {
        return None;
    };
    let events = changes.iter().flat_map(|change| &change.events);
    events.into_iter().find_map(|event| match event {
        SystemEvent::Initialized { log_id } => Some(*log_id),
        _ => None,
    })
}

/// Checks that a record stands where it should; answers the commit that it completes.
fn check(
    record: &Record,
    chains: &mut HashMap<Boundary, BoundaryChain>,
) -> Result<Option<SealedCommit>, VerifyError> {
    let chain = chains
        .entry(record.boundary)
        .or_insert_with(|| BoundaryChain::start(record.boundary));
    match chain.accept(record)? {
        Accepted::Commit(commit) => Ok(Some(commit)),
        Accepted::Part | Accepted::Missing { .. } => Ok(None),
    }
}

/// Decodes a commit and opens its secrets, loading the keys it needs.
async fn open(commit: &SealedCommit, keyring: &dyn Keyring) -> Result<Commit, VerifyError> {
    let (position, boundary) = (commit.position, commit.boundary);
    loop {
        match commit.open(keyring) {
            Ok(commit) => return Ok(commit),
            Err(DecodeError::KeyNotLoaded(missing)) => {
                let loaded = keyring.load(&BTreeSet::from([missing.0])).await;
                loaded.map_err(|source| VerifyError::Keyring {
                    position,
                    boundary,
                    source,
                })?;
            }
            Err(source) => {
                return Err(VerifyError::Changes {
                    position,
                    boundary,
                    source,
                });
            }
        }
    }
}
