//! The engine under the log, fresh for each measurement.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use commands::jetstream::{self, Connection};
use commands::log::{NatsLog, SqliteLog};
use commands::tasks::Tasks;
use domain::{Boundary, CommitId, EventLog, Expected, GroupId};
use tempfile::TempDir;
use tests::nats_server::{NatsServer, Options};
use tests::server_process::Log;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::EngineName;

/// An engine; servers and bare logs are opened on it.
pub(crate) struct Engine {
    home: TempDir,
    nats: Option<NatsServer>,
    tasks: Tasks,
}

impl Engine {
    /// Starts an engine; `durable` syncs every append, as a control plane demands.
    pub(crate) async fn start(name: EngineName, durable: bool) -> anyhow::Result<Self> {
        let nats = match name {
            EngineName::Sqlite => None,
            EngineName::Nats => Some(
                NatsServer::start(Options {
                    sync_always: durable,
                    ..Options::default()
                })
                .await,
            ),
        };
        Ok(Self {
            home: tempfile::tempdir()?,
            nats,
            tasks: Tasks::default(),
        })
    }

    /// What figures are headed with.
    pub(crate) const fn name(&self) -> &'static str {
        if self.nats.is_some() {
            "NATS JetStream, one server"
        } else {
            "SQLite"
        }
    }

    /// As the engine of a server process.
    pub(crate) fn for_server(&self) -> Log {
        self.nats.as_ref().map_or(Log::Sqlite, NatsServer::log)
    }

    /// The engine's processor time, where it is a process of its own.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.nats.as_ref().map(NatsServer::pid)
    }

    /// A bare log on this engine, without any of the control plane around it.
    pub(crate) async fn bare_log(&self) -> anyhow::Result<Arc<dyn EventLog>> {
        Ok(match &self.nats {
            None => Arc::new(SqliteLog::open(&self.home.path().join("log.db"), None, &self.tasks).await?),
            Some(server) => {
                let connection = Connection::open(jetstream::Options::new(server.url())).await?;
                Arc::new(NatsLog::open(connection).await?)
            }
        })
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
        let position = log.append(boundary, expected, CommitId(random()), record).await?;
        expected = Expected::At(position);
        count += 1;
    }
    Ok(count)
}
