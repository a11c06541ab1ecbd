//! The engines under the control plane, fresh for each measurement.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use commands::jetstream::{self, Connection};
use commands::log::{NatsLog, SqliteLog};
use commands::tasks::Tasks;
use domain::log::AppendError;
use domain::{Boundary, CommitId, EventLog, Expected, GroupId, Position};
use futures::TryStreamExt;
use tempfile::TempDir;
use tests::cluster;
use tests::nats_cluster::NatsCluster;
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::server_process::Log;
use tests::servers::Servers;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::EngineName;
use crate::cpu_shares::Party;

/// Where the log and the views are kept; servers and bare logs are opened on it.
pub(crate) struct Engine {
    home: TempDir,
    storage: Storage,
    tasks: Tasks,
}

enum Storage {
    Sqlite,
    Nats(NatsServer),
    Cluster {
        nats: NatsCluster,
        postgres: PostgresServer,
    },
}

impl Engine {
    /// Starts an engine; `durable` syncs every append, as a control plane demands.
    pub(crate) async fn start(name: EngineName, durable: bool) -> anyhow::Result<Self> {
        let options = Options {
            sync_always: durable,
            ..Options::default()
        };
        let storage = match name {
            EngineName::Sqlite => Storage::Sqlite,
            EngineName::Nats => Storage::Nats(NatsServer::start(options).await),
            EngineName::Cluster => Storage::Cluster {
                nats: NatsCluster::start_unwired(cluster::SIZE, &options).await,
                postgres: PostgresServer::start_durable(),
            },
        };
        Ok(Self {
            home: tempfile::tempdir()?,
            storage,
            tasks: Tasks::default(),
        })
    }

    /// What figures are headed with.
    pub(crate) const fn name(&self) -> &'static str {
        match self.storage {
            Storage::Sqlite => "SQLite",
            Storage::Nats(_) => "NATS JetStream, one server",
            Storage::Cluster { .. } => "a cluster: three servers, NATS JetStream R3 on three, one PostgreSQL",
        }
    }

    /// Starts the servers of an installation on this engine.
    pub(crate) async fn servers(&self) -> Servers {
        match &self.storage {
            Storage::Sqlite => Servers::start(1, &Log::Sqlite, None, &[]).await,
            Storage::Nats(server) => Servers::start(1, &server.log(), None, &[]).await,
            Storage::Cluster { nats, postgres } => {
                let database = postgres.fresh_database().await;
                Servers::start(cluster::SIZE, &nats.log(), Some(&database), &[]).await
            }
        }
    }

    /// Whose processor time the engine takes, where it has processes of its own.
    pub(crate) fn parties(&self) -> Vec<Party> {
        match &self.storage {
            Storage::Sqlite => Vec::new(),
            Storage::Nats(server) => vec![Party::processes("NATS", [server.pid()])],
            Storage::Cluster { nats, postgres } => vec![
                Party::processes("NATS", nats.pids()),
                Party::family("PostgreSQL", postgres.pid()),
            ],
        }
    }

    /// A bare log on this engine, without any of the control plane around it.
    pub(crate) async fn bare_log(&self) -> anyhow::Result<Arc<dyn EventLog>> {
        let options = match &self.storage {
            Storage::Sqlite => {
                let path = self.home.path().join("log.db");
                return Ok(Arc::new(SqliteLog::open(&path, None, &self.tasks).await?));
            }
            Storage::Nats(server) => jetstream::Options::new(server.url()),
            Storage::Cluster { nats, .. } => jetstream::Options {
                replicas: nats.size(),
                ..jetstream::Options::new(nats.url())
            },
        };
        Ok(Arc::new(NatsLog::open(Connection::open(options).await?).await?))
    }

    /// Guarded appends of `size` bytes per second, by so many writers with a boundary each.
    pub(crate) async fn append_ceiling(
        &self,
        writers: usize,
        size: usize,
        duration: Duration,
    ) -> anyhow::Result<f64> {
        let log = self.bare_log().await?;
        let deadline = Instant::now() + duration;
        let mut running = JoinSet::new();
        for _ in 0..writers {
            running.spawn(append_until(Arc::clone(&log), size, deadline));
        }
        let counts = running
            .join_all()
            .await
            .into_iter()
            .collect::<anyhow::Result<Vec<u64>>>()?;
        Ok(counts.iter().sum::<u64>() as f64 / duration.as_secs_f64())
    }
}

async fn append_until(log: Arc<dyn EventLog>, size: usize, deadline: Instant) -> anyhow::Result<u64> {
    let random = || {
        Uuid::from_bytes(
            commands::entropy::seed()[..16]
                .try_into()
                .expect("16 of 32 bytes"),
        )
    };
    let boundary = Boundary::Group(GroupId(random()));
    let (mut expected, mut count) = (Expected::Empty, 0);
    while Instant::now() < deadline {
        let record = Bytes::from(vec![1; size]);
        let position = append(&*log, boundary, expected, CommitId(random()), record).await?;
        expected = Expected::At(position);
        count += 1;
    }
    Ok(count)
}

/// Appends as a writer does: a replicated log can answer with a conflict while the boundary's last record is still in flight.
async fn append(
    log: &dyn EventLog,
    boundary: Boundary,
    expected: Expected,
    id: CommitId,
    record: Bytes,
) -> anyhow::Result<Position> {
    let guard = match expected {
        Expected::Empty => Position::START,
        Expected::At(position) => position,
    };
    loop {
        match log.append(boundary, expected, id, record.clone()).await {
            Err(AppendError::Conflict) => {
                // Nobody else writes here: what stands after the guard is this record.
                if let Some(stored) = log.read_boundary(boundary, guard).try_next().await? {
                    return Ok(stored.position);
                }
            }
            answered => return Ok(answered?),
        }
    }
}
