//! Log and keyring on the engine that the settings name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use commands::jetstream::durability::{self, Durability};
use commands::jetstream::{Connection, Options};
use commands::keyring::{KeyPages, MasterKey, NatsPages, PagedKeyring, SqlitePages, master_key};
use commands::log::{NatsLog, SqliteLog, log_size};
use commands::opened_file::OpenedFile;
use commands::tasks::Tasks;
use domain::health::Health;
use domain::signing::SigningKey;
use domain::{EventLog, Keyring};

use crate::config::{LogEngine, MasterKeySource, StorageSettings};

/// The log's file in the data directory.
pub const LOG_FILE: &str = "log.db";
/// The keyring's file in the data directory.
pub const KEYS_FILE: &str = "keys.db";
/// The master key's file in the data directory.
pub const MASTER_KEY_FILE: &str = "master.key";
/// The views' file in the data directory.
pub const VIEWS_FILE: &str = "views.db";

/// On how many NATS servers a record is kept unless a person says otherwise.
const REPLICAS: usize = 1;

/// An opened log and the keyring that belongs to it.
pub struct Storage {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The keyring.
    pub keyring: Arc<dyn Keyring>,
    /// The keyring's pages, for export and import.
    pub key_pages: Arc<dyn KeyPages>,
    /// A text that stays the same as long as this is the same log.
    pub identity: String,
    /// What the installation signs with.
    pub signing: Arc<SigningKey>,
    /// The files that it is in, each with the name of the condition that tells of its loss.
    pub files: Vec<(&'static str, OpenedFile)>,
    /// Why it isn't known that the log keeps what it acknowledges through a power loss; none where it is known.
    pub durability_doubt: Option<String>,
}

impl Storage {
    /// Opens, or makes, log and keyring; the data directory must be held by this process.
    pub async fn open(
        settings: &StorageSettings,
        health: &Arc<dyn Health>,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let master = master_key(settings)?;
        match &settings.log {
            LogEngine::Sqlite => {
                let storage = sqlite(&settings.data_dir, settings.log_limit, master, tasks).await?;
                if let Some(limit) = settings.log_limit {
                    watch_size(settings.data_dir.join(LOG_FILE), limit, health, tasks);
                }
                Ok(storage)
            }
            LogEngine::Nats {
                url,
                replicas,
                monitor,
                access,
            } => {
                let durability_doubt = durability_doubt(monitor.as_deref()).await?;
                let options = Options {
                    ca_file: access.ca.clone(),
                    identity: access.identity.clone(),
                    credentials: access.credentials.clone(),
                    monitor: monitor.clone(),
                    replicas: replicas.unwrap_or(REPLICAS),
                    max_bytes: settings.log_limit,
                    ..Options::new(url)
                };
                nats(options, durability_doubt, master, health, tasks).await
            }
        }
    }

    /// Opens, or makes, a log and a keyring in files of this directory, whatever the settings say.
    pub async fn open_in(directory: &Path, master: MasterKey, tasks: &Tasks) -> anyhow::Result<Self> {
        sqlite(directory, None, master, tasks).await
    }

    /// Leaves the files in order, once nothing is written any more and the tasks have ended.
    pub async fn close(&self) -> anyhow::Result<()> {
        Ok(self.key_pages.close().await?)
    }

    /// Opens what is there to read it, also beside a server: nothing in the data directory is written.
    pub async fn open_read_only(settings: &StorageSettings, tasks: &Tasks) -> anyhow::Result<Self> {
        match &settings.log {
            LogEngine::Sqlite => sqlite_read_only(settings).await,
            LogEngine::Nats { .. } => Self::open(settings, &unheard(), tasks).await,
        }
    }
}

/// Whom a program tells that only looks: nobody.
pub fn unheard() -> Arc<dyn Health> {
    Arc::new(())
}

/// The master key from the environment or, without one there, from where the settings say.
pub fn master_key(settings: &StorageSettings) -> anyhow::Result<MasterKey> {
    let variable = master_key::ENVIRONMENT_VARIABLE;
    if let Ok(text) = std::env::var(variable) {
        return Ok(MasterKey::parse(&text, variable)?);
    }
    match &settings.master_key {
        MasterKeySource::DataDirectory => Ok(MasterKey::load_or_create(
            &settings.data_dir.join(MASTER_KEY_FILE),
        )?),
        MasterKeySource::File(path) => Ok(MasterKey::load(path)?),
        MasterKeySource::Command(command) => Ok(MasterKey::from_command(command)?),
    }
}

async fn sqlite(
    data_dir: &Path,
    limit: Option<u64>,
    master: MasterKey,
    tasks: &Tasks,
) -> anyhow::Result<Storage> {
    let signing = Arc::new(master.signing_key());
    let pages = SqlitePages::open(&data_dir.join(KEYS_FILE)).await?;
    let keyring = Arc::new(PagedKeyring::open(pages, master).await?);
    let log = SqliteLog::open(&data_dir.join(LOG_FILE), limit, tasks).await?;
    let files = vec![
        ("log file", OpenedFile::of(&data_dir.join(LOG_FILE))?),
        ("keys file", OpenedFile::of(&data_dir.join(KEYS_FILE))?),
    ];
    Ok(Storage {
        files,
        ..embedded(log, keyring, signing)
    })
}

fn watch_size(file: PathBuf, limit: u64, health: &Arc<dyn Health>, tasks: &Tasks) {
    let watch = log_size::watch(file, limit, Arc::clone(health));
    let stop = tasks.token().clone();
    tasks.spawn("log size", async move {
        stop.run_until_cancelled(watch).await;
    });
}

async fn sqlite_read_only(settings: &StorageSettings) -> anyhow::Result<Storage> {
    let log = SqliteLog::open_read_only(&settings.data_dir.join(LOG_FILE)).await?;
    let master = master_key(settings)?;
    let signing = Arc::new(master.signing_key());
    let pages = SqlitePages::open_read_only(&settings.data_dir.join(KEYS_FILE)).await?;
    let keyring = Arc::new(PagedKeyring::open(pages, master).await?);
    Ok(embedded(log, keyring, signing))
}

fn embedded(log: SqliteLog, keyring: Arc<PagedKeyring<SqlitePages>>, signing: Arc<SigningKey>) -> Storage {
    Storage {
        identity: log.identity().to_owned(),
        log: Arc::new(log),
        key_pages: keyring.clone(),
        keyring,
        signing,
        files: Vec::new(),
        durability_doubt: None,
    }
}

async fn nats(
    options: Options,
    durability_doubt: Option<String>,
    master: MasterKey,
    health: &Arc<dyn Health>,
    tasks: &Tasks,
) -> anyhow::Result<Storage> {
    let connection = Connection::open(options).await.context("--log")?;
    let signing = Arc::new(master.signing_key());
    let pages = NatsPages::open(connection.clone()).await?;
    let keyring = Arc::new(PagedKeyring::open(pages, master).await?);
    let (heard, stop) = (Arc::clone(&keyring), tasks.token().clone());
    tasks.spawn("keyring hearing", async move {
        stop.run_until_cancelled(heard.hear_others()).await;
    });
    let log = NatsLog::open(connection).await?;
    let watch = log.clone().watch(Arc::clone(health));
    let stop = tasks.token().clone();
    tasks.spawn("NATS watch", async move {
        stop.run_until_cancelled(watch).await;
    });
    Ok(Storage {
        identity: log.identity(),
        log: Arc::new(log),
        key_pages: keyring.clone(),
        keyring,
        signing,
        files: Vec::new(),
        durability_doubt,
    })
}

/// What isn't known of the servers' durability; what is known to be missing is refused.
async fn durability_doubt(monitor: Option<&str>) -> anyhow::Result<Option<String>> {
    let Some(monitor) = monitor else {
        let how = "give --nats-monitor http://host:8222 to have the NATS server's sync setting verified";
        return Ok(Some(how.to_owned()));
    };
    match durability::verify(monitor).await {
        Durability::Verified => Ok(None),
        Durability::NotVerified(reason) => Ok(Some(reason)),
        Durability::Refused(reason) => bail!("--nats-monitor: {reason}"),
    }
}
