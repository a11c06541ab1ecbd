//! The read side of one process: opened once, then asked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::follower::Follower;
use domain::health::Health;
use domain::{Boundary, Clock, EventLog, Keyring, Position, Spawner, state_store::StateStore};
use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify, RwLock, watch};

use crate::database::{Database, Lane};
use crate::decoding::Decoder;
use crate::error::{NotCaughtUp, ProjectionError};
use crate::feed::Feed;
use crate::hearing::hear;
use crate::integrity;
use crate::leading::{Leadership, lead};
use crate::live::LiveGroups;
use crate::location::Location;
use crate::observed::{self, Observed};
use crate::progress::{Progress, Status};
use crate::reader::Reader;
use crate::rebuild;
use crate::shared::{Shared, verify_checkpoint};
use crate::states::States;
use crate::views::Views;
use crate::write::generations;

/// How often live groups are looked through for those to store and those that nobody holds any more.
const LOOK_THROUGH: Duration = Duration::from_secs(15);

/// What the read side is made from.
pub struct Options {
    /// Where the views are.
    pub database: Location,
    /// What this process is called where others that share the views see it: a machine and a process id, for example.
    pub holder: String,
    /// The log it is derived from.
    pub log: Arc<dyn EventLog>,
    /// Opens and seals secrets.
    pub keyring: Arc<dyn Keyring>,
    /// Tells the time: what has expired is hidden.
    pub clock: Arc<dyn Clock>,
    /// Runs the reader and the projector.
    pub spawner: Arc<dyn Spawner>,
    /// Hears what isn't well with the views.
    pub health: Arc<dyn Health>,
}

/// The read side of one process. A cheap handle.
#[derive(Clone)]
pub struct Projections {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    serving: Views,
    computing: Views,
    live: LiveGroups,
    observed: Observed,
    states: Arc<dyn StateStore>,
    rebuilding: Mutex<()>,
}

impl Projections {
    /// Opens the views, checks that the log still is the one they were made from, and begins to follow it. A log that
    /// lost its tail or was rewritten is refused.
    pub async fn open(options: Options) -> Result<Self, ProjectionError> {
        let database = Database::open(&options.database, options.clock.now()).await?;
        generations::prepare(&database).await?;
        let resumption = generations::resume_live(&mut database.write().await?).await?;
        observed::take_back(&mut database.write().await?, options.clock.now()).await?;
        let position = resumption.position;
        let tail = verify_checkpoint(&*options.log, position, resumption.digest).await?;
        let (log, keyring) = (Arc::clone(&options.log), Arc::clone(&options.keyring));
        let decoder = Decoder::resumed(log, keyring, position, resumption.ends);
        let shared = Arc::new(Shared {
            database,
            log: options.log,
            keyring: options.keyring,
            clock: options.clock,
            generation: RwLock::new(resumption.generation),
            progress: Progress::new(position, tail),
            health: options.health,
            feed: Feed::new(position),
            leading: watch::Sender::new(false),
            holder: options.holder,
            heard_holder: watch::Sender::new(None),
            retired: Notify::new(),
            flipped: Notify::new(),
            vacant: Notify::new(),
        });
        let projections = Self::over(shared);
        projections.start(decoder, &*options.spawner);
        Ok(projections)
    }

    fn over(shared: Arc<Shared>) -> Self {
        let states: Arc<dyn StateStore> = Arc::new(States::new(Arc::clone(&shared)));
        let (log, keyring) = (Arc::clone(&shared.log), Arc::clone(&shared.keyring));
        let inner = Inner {
            serving: Views::new(Arc::clone(&shared), Lane::Serving),
            computing: Views::new(Arc::clone(&shared), Lane::Computing),
            live: LiveGroups::new(log, keyring, Arc::clone(&states)),
            observed: Observed::new(Arc::clone(&shared)),
            states,
            shared,
            rebuilding: Mutex::new(()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn start(&self, decoder: Decoder, spawner: &dyn Spawner) {
        let shared = || Arc::clone(&self.inner.shared);
        let reader = Reader::new(shared(), decoder, self.inner.live.clone());
        spawner.spawn("log reader", Box::pin(reader.run(spawner.shutdown())));
        spawner.spawn("projector", Box::pin(lead(shared(), spawner.shutdown())));
        let until_shutdown = |name, task: BoxFuture<'static, ()>| {
            let shutdown = spawner.shutdown();
            let task = async {
                tokio::select! { () = task => {}, () = shutdown => {} }
            };
            spawner.spawn(name, Box::pin(task));
        };
        until_shutdown("views hearing", Box::pin(hear(shared())));
        until_shutdown("views clean-up", Box::pin(rebuild::clean_up(shared())));
        until_shutdown("views file", Box::pin(integrity::look_after(shared())));
        until_shutdown("live groups", Box::pin(tend(self.inner.live.clone(), shared())));
    }

    /// Queries on the read models.
    pub fn views(&self) -> &Views {
        self.views_for(Lane::Serving)
    }

    /// Queries on the read models over the connections of a lane.
    pub fn views_for(&self, lane: Lane) -> &Views {
        match lane {
            Lane::Serving => &self.inner.serving,
            Lane::Computing => &self.inner.computing,
        }
    }

    /// The folded states of groups that somebody watches.
    pub fn live(&self) -> &LiveGroups {
        &self.inner.live
    }

    /// Folded aggregates kept for a fast start.
    pub fn states(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.inner.states)
    }

    /// What was observed of runtime instances.
    pub fn observed(&self) -> &Observed {
        &self.inner.observed
    }

    /// Waits until the views hold every commit of a boundary that is durable now: read your writes. At most 5 s.
    pub async fn caught_up(&self, boundary: Boundary) -> Result<Position, NotCaughtUp> {
        let tail = self.inner.shared.log.boundary_tail(boundary).await;
        let tail = tail.map_err(|error| NotCaughtUp {
            reason: error.to_string(),
        })?;
        let position = tail.unwrap_or(Position::START);
        self.caught_up_to(position).await?;
        Ok(position)
    }

    /// Waits until the views hold everything up to a position. At most 5 s.
    pub async fn caught_up_to(&self, position: Position) -> Result<(), NotCaughtUp> {
        self.inner.shared.progress.reached(position).await
    }

    /// Waits, however long, until the views hold more than what stands up to a position.
    pub async fn moved_past(&self, position: Position) {
        self.inner.shared.progress.moved_past(position).await;
    }

    /// Whether this process leads those that share the views: it projects, and it alone runs the reactors. Always so
    /// on SQLite, soon after the start.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.inner.shared.leading.subscribe()
    }

    /// Who leads, for those who operate many processes.
    pub fn leadership(&self) -> Leadership {
        Leadership::of(&self.inner.shared)
    }

    /// Where the views stand.
    pub fn status(&self) -> Status {
        self.inner.shared.progress.status()
    }

    /// Waits, however long, until the views can't be trusted any more: their file is damaged or gone. Nothing is answered
    /// from them then, and only another start makes them again.
    pub async fn distrusted(&self) {
        self.inner.shared.progress.distrusted().await;
    }

    /// Leaves the views' file in order, once nothing is written any more: everything in one piece, each page with its digest.
    pub async fn close(&self) -> Result<(), ProjectionError> {
        match self.inner.shared.database.sqlite() {
            Some(sqlite) => Ok(sqlite.close().await?),
            None => Ok(()),
        }
    }

    /// Makes the views again beside those that are read, and flips when they have caught up. Views that were begun anew
    /// because their file was damaged only catch up. Stopped anywhere, the next call goes on where it was. `progress` hears the
    /// position reached and the one aimed at.
    pub async fn rebuild(&self, progress: impl Fn(Position, Position)) -> Result<(), ProjectionError> {
        let _alone = self.inner.rebuilding.lock().await;
        let sqlite = self.inner.shared.database.sqlite();
        if sqlite.is_some_and(|sqlite| sqlite.set_aside().is_some()) {
            return self.inner.shared.progress.catch_up(progress).await;
        }
        rebuild::rebuild(&self.inner.shared, progress).await
    }
}

async fn tend(live: LiveGroups, shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(LOOK_THROUGH);
    loop {
        interval.tick().await;
        live.tend(shared.clock.now()).await;
    }
}

#[async_trait]
impl Follower for Projections {
    async fn took(&self, position: Position) {
        // Standing still ends the wait too.
        drop(self.caught_up_to(position).await);
    }
}
