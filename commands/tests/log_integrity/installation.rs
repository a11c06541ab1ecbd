//! A data directory with a log, a keyring, a signed head and a witness.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use commands::keyring::{MasterKey, SqliteKeyring, SqlitePages};
use commands::log::SqliteLog;
use commands::log::head::SignedHead;
use commands::log::verify::{Evidence, UncheckedEvidence, Verified, VerifyError, verify};
use commands::log::witness::{Heads, Witness, WitnessError};
use commands::tasks::Tasks;
use domain::codec::changes::needed_keys;
use domain::codec::{Envelope, EventCodec, encode_changes};
use domain::organization::OrganizationEvent;
use domain::system::{Authority, SystemEvent};
use domain::{
    Actor, Boundary, Change, Clock, CommitId, Digest, EventLog, Expected, Keyring, OrganizationId, Position,
    Record, Secret, Timestamp,
};
use futures::{StreamExt, TryStreamExt};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const LOG_ID: Uuid = Uuid::from_u128(0x10);
const ORGANIZATION: Boundary = Boundary::Organization(OrganizationId(Uuid::from_u128(0x20)));

/// A clock that stands.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(1_760_000_000_000)
    }
}

/// A data directory, and the master key it was made with.
pub(crate) struct Installation {
    home: TempDir,
    master: MasterKey,
}

/// A log that is open for appending, as a server has it.
pub(crate) struct Running {
    pub(crate) log: Arc<SqliteLog>,
    keyring: SqliteKeyring,
    tasks: Tasks,
    heads: Heads,
    files: [PathBuf; 2],
}

impl Installation {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            master: MasterKey::generate(),
        }
    }

    /// One whose log has commits of two boundaries, and whose server was stopped.
    pub(crate) async fn with_history() -> Self {
        let installation = Self::new();
        let server = installation.start().await.unwrap();
        server.initialize().await;
        for number in 0..5 {
            server.register(&format!("organization {number}")).await;
            server.name_organization(&format!("name {number}")).await;
        }
        server.stop().await;
        installation
    }

    /// Another one with the same files.
    pub(crate) fn copy(&self) -> Self {
        let home = tempfile::tempdir().unwrap();
        for file in ["log.db", "keys.db", "head.json", "witness"] {
            std::fs::copy(self.path(file), home.path().join(file)).unwrap();
        }
        Self {
            home,
            master: self.master.clone(),
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    /// Compares and follows, as a server does at its start.
    pub(crate) async fn start(&self) -> Result<Running, WitnessError> {
        let tasks = Tasks::default();
        let log = Arc::new(SqliteLog::open(&self.path("log.db"), None, &tasks).await.unwrap());
        let pages = SqlitePages::open(&self.path("keys.db")).await.unwrap();
        let keyring = SqliteKeyring::open(pages, self.master.clone()).await.unwrap();
        let signing = Arc::new(self.master.signing_key());
        let witness = Witness::compare(self.home.path(), log.clone(), signing).await?;
        let heads = witness.follow(LOG_ID, Arc::new(Standing), &tasks);
        Ok(Running {
            log,
            keyring,
            tasks,
            heads,
            files: [self.path("log.db"), self.path("keys.db")],
        })
    }

    /// The log, opened beside whoever else has it open.
    pub(crate) async fn log(&self) -> SqliteLog {
        SqliteLog::open_read_only(&self.path("log.db")).await.unwrap()
    }

    /// What `log verify` says.
    pub(crate) async fn verify(&self, archived: Option<SignedHead>) -> Result<Verified, VerifyError> {
        let log = SqliteLog::open_read_only(&self.path("log.db")).await;
        let log =
            log.map_err(|error| VerifyError::Storage(domain::log::ReadError::Damaged(error.to_string())))?;
        self.verify_log(&log, archived).await
    }

    /// What `log verify` says of this log.
    pub(crate) async fn verify_log(
        &self,
        log: &SqliteLog,
        archived: Option<SignedHead>,
    ) -> Result<Verified, VerifyError> {
        let key = self.master.signing_key().public();
        let evidence = UncheckedEvidence::read(self.home.path(), archived)?.check(&key)?;
        verify(log, &self.keyring().await, evidence, |_| {}).await
    }

    /// What can be said without head and witness.
    pub(crate) async fn verify_chains(&self) -> Result<Verified, VerifyError> {
        verify(
            &self.log().await,
            &self.keyring().await,
            Evidence::default(),
            |_| {},
        )
        .await
    }

    async fn keyring(&self) -> SqliteKeyring {
        let pages = SqlitePages::open_read_only(&self.path("keys.db")).await.unwrap();
        SqliteKeyring::open(pages, self.master.clone()).await.unwrap()
    }

    /// The records of the log.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let log = self.log().await;
        let tail = log.tail().await.unwrap();
        let records = log.follow(Position::START).take(tail.0 as usize);
        records.try_collect().await.unwrap()
    }

    /// The file, for a person with SQL.
    pub(crate) async fn sql(&self) -> SqliteConnection {
        connection(&self.path("log.db")).await
    }

    pub(crate) fn head(&self) -> SignedHead {
        SignedHead::parse(&std::fs::read_to_string(self.path("head.json")).unwrap()).unwrap()
    }
}

pub(crate) async fn connection(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.disable_statement_logging().connect().await.unwrap()
}

impl Running {
    /// The installation's first commit.
    pub(crate) async fn initialize(&self) {
        let authority = Authority {
            certificate: "public".to_owned(),
            key: Secret::new("private".to_owned()),
        };
        let events = vec![
            SystemEvent::Initialized { log_id: LOG_ID },
            SystemEvent::AuthorityCreated { authority },
        ];
        self.append(Boundary::System, events).await;
    }

    pub(crate) async fn register(&self, name: &str) {
        let id = OrganizationId(Uuid::from_u128(1));
        let name = name.to_owned();
        self.append(
            Boundary::System,
            vec![SystemEvent::OrganizationRegistered { id, name }],
        )
        .await;
    }

    async fn name_organization(&self, name: &str) {
        let id = OrganizationId(Uuid::from_u128(0x20));
        let name = name.to_owned();
        self.append(
            ORGANIZATION,
            vec![OrganizationEvent::OrganizationCreated { id, name }],
        )
        .await;
    }

    async fn append<E: EventCodec>(&self, boundary: Boundary, events: Vec<E>) {
        let last = self.log.boundary_tail(boundary).await.unwrap();
        let previous = last.unwrap_or(Position::START);
        let digest = match self.log.record_at(previous).await.unwrap() {
            Some(record) => Digest::of(&record.bytes),
            None => Digest::ZERO,
        };
        let change = Change {
            version: previous.0 + 1,
            at: Timestamp(0),
            clock: Timestamp(0),
            actor: Actor::System {
                part: "test".to_owned(),
            },
            reason: None,
            request_id: None,
            source: None,
            idempotency: None,
            catalogue: 1,
            events,
        };
        let changes = [change];
        self.keyring
            .ensure(&needed_keys(boundary, &changes))
            .await
            .unwrap();
        let id = CommitId(Uuid::from_u128(u128::from(previous.0)));
        let encoded = encode_changes(id, boundary, &changes, &self.keyring, self.log.record_limit()).unwrap();
        let record = encoded.record(0, previous, digest, None);
        let appended = self.log.append(boundary, Expected::after(last), id, record).await;
        appended.unwrap();
    }

    /// Waits until everything that is in the log is signed.
    pub(crate) async fn signed(&self) -> SignedHead {
        let tail = self.log.tail().await.unwrap();
        let of_tail = |head: &Option<SignedHead>| head.is_some_and(|head| head.head.position == tail);
        let signed = *self.heads.clone().wait_for(of_tail).await.unwrap();
        signed.unwrap()
    }

    /// Ends in order; everything is in `log.db` then.
    pub(crate) async fn stop(self) {
        self.tasks.shut_down().await;
        drop((self.log, self.keyring));
        for file in self.files {
            let mut connection = connection(&file).await;
            let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)");
            let (busy, _, _): (i64, i64, i64) = checkpoint.fetch_one(&mut connection).await.unwrap();
            assert_eq!(busy, 0, "nobody reads any more");
        }
    }
}

/// The same record with something else in it, standing on another digest.
pub(crate) fn rewritten(record: &Record, previous_digest: Digest) -> Bytes {
    let envelope = Envelope::decode(&record.bytes).unwrap();
    Envelope {
        id: CommitId(Uuid::from_u128(0xbad)),
        previous_digest,
        ..envelope
    }
    .encode()
}
