//! An existing installation, opened without a server: for the commands that work on the log directly.

use anyhow::bail;
use commands::keyring::master_key;
use commands::tasks::Tasks;
use tracing::warn;

use super::data_directory::DataDirectory;
use super::storage::{self, MASTER_KEY_FILE, Storage};
use crate::config::{DatabaseEngine, LogEngine, MasterKeySource, StorageSettings};

/// Log and keyring of an installation, and the data directory that this process holds for it.
pub struct Installation {
    /// Log and keyring.
    pub storage: Storage,
    tasks: Tasks,
    /// None where nothing lies in it that a server needs for itself.
    _directory: Option<DataDirectory>,
}

impl Installation {
    /// Takes the data directory and opens what belongs to it. The master key must be there: a new one would open nothing.
    pub async fn open(settings: &StorageSettings) -> anyhow::Result<Self> {
        let directory = DataDirectory::lock(&settings.data_dir)?;
        Self::open_in(settings, Some(directory)).await
    }

    /// As [`Self::open`]; where log and views are on servers, also while this directory's process runs.
    pub async fn open_beside_processes(settings: &StorageSettings) -> anyhow::Result<Self> {
        match (&settings.log, &settings.database) {
            (LogEngine::Nats { .. }, DatabaseEngine::Postgres(_)) => Self::open_in(settings, None).await,
            _ => Self::open(settings).await,
        }
    }

    /// Opens what belongs to it for reading, whoever holds the data directory.
    pub async fn open_to_read(settings: &StorageSettings) -> anyhow::Result<Self> {
        require_master_key(settings)?;
        let tasks = Tasks::default();
        let storage = Storage::open_read_only(settings, &tasks).await?;
        Ok(Self {
            storage,
            tasks,
            _directory: None,
        })
    }

    async fn open_in(settings: &StorageSettings, directory: Option<DataDirectory>) -> anyhow::Result<Self> {
        require_master_key(settings)?;
        let tasks = Tasks::default();
        let storage = Storage::open(settings, &storage::unheard(), &tasks).await?;
        Ok(Self {
            storage,
            tasks,
            _directory: directory,
        })
    }

    /// The tasks that work on it.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Closes everything in order.
    pub async fn close(self) {
        self.tasks.shut_down().await;
        if let Err(error) = self.storage.close().await {
            warn!(%error, "keys.db's write-ahead log stays beside it; keep them together, nothing is lost");
        }
    }
}

/// A key made now would open nothing.
pub fn require_master_key(settings: &StorageSettings) -> anyhow::Result<()> {
    if settings.master_key != MasterKeySource::DataDirectory {
        return Ok(());
    }
    let key_file = settings.data_dir.join(MASTER_KEY_FILE);
    let variable = master_key::ENVIRONMENT_VARIABLE;
    if std::env::var_os(variable).is_none() && !key_file.exists() {
        let key_file = key_file.display();
        bail!("no master key: put the installation's into {variable} or {key_file} (mode 600)");
    }
    Ok(())
}
