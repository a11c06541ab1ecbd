//! Hearing how far the views are that another process projects: by what it announces, and by looking every now and then,
//! so that an announcement that was lost costs moments.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use tokio::time::{Instant, interval, sleep};

use crate::database::{Announcement, Postgres};
use crate::error::ProjectionError;
use crate::shared::Shared;

const LOOK_EVERY: Duration = Duration::from_secs(2);

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// After how long a checkpoint that doesn't move although the log has more is worth telling.
const STANDSTILL: Duration = Duration::from_secs(10);

const LOOK: &str = "SELECT live, position, holder,
    CASE WHEN expires_at < clock_timestamp() OR expires_at > clock_timestamp() + INTERVAL '5 minutes' THEN 1::BIGINT ELSE 0::BIGINT END
    FROM projection JOIN generation ON generation = live CROSS JOIN projector_lease";

#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 1] = [LOOK];

/// Follows what the database says, as long as the process runs.
pub(crate) async fn hear(shared: Arc<Shared>) {
    let Some(postgres) = shared.database.postgres() else {
        return;
    };
    let mut hearing = Hearing {
        shared: &shared,
        postgres,
        moved: (shared.progress.position(), Instant::now()),
    };
    loop {
        let Err(error) = hearing.listen().await;
        shared.progress.troubled(&error);
        sleep(RETRY_AFTER).await;
    }
}

struct Hearing<'s> {
    shared: &'s Shared,
    postgres: &'s Postgres,
    /// Where the views were when they moved last, and when that was.
    moved: (Position, Instant),
}

impl Hearing<'_> {
    async fn listen(&mut self) -> Result<std::convert::Infallible, ProjectionError> {
        let mut listener = self.postgres.listen().await?;
        let mut rounds = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                heard = listener.try_recv() => {
                    if let Some(notification) = heard? {
                        if let Some(announcement) = Announcement::parse(notification.payload()) {
                            self.take(announcement).await;
                        }
                        continue;
                    }
                    // The connection was lost, and with it perhaps an announcement.
                }
                _ = rounds.tick() => {}
            }
            self.look().await?;
        }
    }

    async fn take(&self, announcement: Announcement) {
        match announcement {
            Announcement::Projected { generation, position } => self.reads(generation, position).await,
            Announcement::Vacant => self.shared.vacant.notify_one(),
        }
    }

    async fn reads(&self, generation: i64, position: Position) {
        if !*self.shared.leading.borrow() {
            self.shared.reads(generation, position).await;
        } else if *self.shared.generation.read().await < generation {
            self.shared.flipped.notify_one();
        }
    }

    async fn look(&mut self) -> Result<(), ProjectionError> {
        let row = self.postgres.fetch_optional(LOOK, []).await?;
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        let position = Position(row.get::<i64>(1)?.cast_unsigned());
        self.reads(row.get(0)?, position).await;
        let holder: &str = row.get(2)?;
        let vacant = row.get::<i64>(3)? == 1;
        let heard = (!vacant).then(|| holder.to_owned());
        self.shared.heard_holder.send_replace(heard);
        self.judge(position, holder, vacant);
        Ok(())
    }

    /// Says why the views stand still, if they do.
    fn judge(&mut self, position: Position, holder: &str, vacant: bool) {
        let progress = &self.shared.progress;
        if position != self.moved.0 || progress.seen() <= position {
            self.moved = (position, Instant::now());
        }
        if *self.shared.leading.borrow() {
            return;
        }
        let (position, since) = self.moved;
        if since.elapsed() < STANDSTILL {
            progress.recovered();
            return;
        }
        let who = if vacant {
            "no process projects them".to_owned()
        } else {
            format!("the process that projects them, {holder}, doesn't get on: see what it logs")
        };
        let seconds = since.elapsed().as_secs();
        progress.troubled(&ProjectionError::Standstill(format!(
            "the views have been at position {position} for {seconds} s: {who}"
        )));
    }
}
