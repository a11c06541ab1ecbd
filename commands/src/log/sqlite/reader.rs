//! Reading the file in pages, on connections of its own, so that no reader holds the writer up.

use std::sync::Arc;

use bytes::Bytes;
use domain::log::ReadError;
use domain::{Boundary, Position, Record};
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{FromRow, Row};
use tokio::sync::watch;

use super::recent::{End, Recent};
use crate::log::invariants::{Continuity, check_tail};

/// How many records a page has at most.
const PAGE_RECORDS: i64 = 2_000;

/// After how many bytes a page ends.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Reads records from `log.db`.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pool: SqlitePool,
    recent: Arc<Recent>,
}

/// A row of `record` as read.
struct Stored(Result<Record, ReadError>);

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let position = Position(row.try_get::<i64, _>(0)?.cast_unsigned());
        let bytes = Bytes::from(row.try_get::<Vec<u8>, _>(2)?);
        let boundary = row.try_get::<&str, _>(1)?.parse::<Boundary>();
        Ok(Self(match boundary {
            Ok(boundary) => Ok(Record {
                position,
                boundary,
                bytes,
            }),
            Err(error) => Err(ReadError::Damaged(format!(
                "log.db, position {position}: {error}"
            ))),
        }))
    }
}

fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(format!("log.db: {error}"))
}

impl Reader {
    /// Reads through these connections and from what is recent.
    pub(super) const fn new(pool: SqlitePool, recent: Arc<Recent>) -> Self {
        Self { pool, recent }
    }

    /// The record at a position that is durable.
    pub(super) async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        if position == Position::START || position > self.recent.tail() {
            return Ok(None);
        }
        let page = self.page(Position(position.0 - 1), 1).await?;
        Ok(page.into_iter().next())
    }

    /// The newest position of a boundary: from memory, or from the file the first time.
    pub(super) async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        let skips = match self.recent.boundary_end(boundary) {
            End::Known(position) => return Ok(Some(position)),
            End::Unknown { skips } => skips,
        };
        let position: Option<i64> = sqlx::query_scalar(
            "SELECT position FROM record WHERE boundary = $1 ORDER BY previous DESC LIMIT 1",
        )
        .bind(boundary.subject())
        .fetch_optional(&self.pool)
        .await
        .map_err(unavailable)?;
        let position = position.map(|position| Position(position.cast_unsigned()));
        if let Some(position) = position {
            self.recent.remember(boundary, position, skips);
        }
        Ok(position)
    }

    /// All records after a position, then the ones to come.
    pub(super) fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        let tail = self.recent.watch();
        let start = check_tail(*tail.borrow(), after);
        if let Err(error) = start {
            return stream::once(async { Err(error) }).boxed();
        }
        let follower = Follower {
            reader: self.clone(),
            tail,
            continuity: Continuity::after(after),
        };
        stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next_page().await? {
                Ok(page) => Some((page.into_iter().map(Ok).collect(), Some(follower))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    /// One boundary's records after a position, up to the tail at the call.
    pub(super) fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        let tail = self.recent.tail();
        let reader = self.clone();
        stream::unfold(Some(after), move |last| {
            let reader = reader.clone();
            async move {
                let page = reader.boundary_page(boundary, last?, tail).await;
                match page {
                    Ok(page) => {
                        let last = page.last()?.position;
                        Some((page.into_iter().map(Ok).collect(), Some(last)))
                    }
                    Err(error) => Some((vec![Err(error)], None)),
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    /// Checks the file's structure, then that every guard names the record before it.
    pub(super) async fn check_storage(&self) -> Result<(), ReadError> {
        let damaged = |what: String| ReadError::Damaged(format!("log.db: {what}"));
        let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| damaged(error.to_string()))?;
        if found != "ok" {
            return Err(damaged(format!("{found}; restore the log from an export")));
        }
        let wrong: Option<(i64, i64, i64)> = sqlx::query_as(
            "SELECT position, previous, before FROM
                 (SELECT position, previous,
                      lag(position, 1, 0) OVER (PARTITION BY boundary ORDER BY previous) AS before FROM record)
             WHERE previous <> before ORDER BY position LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| damaged(error.to_string()))?;
        match wrong {
            None => Ok(()),
            Some((position, previous, before)) => Err(damaged(format!(
                "position {position}: its column `previous` says {previous}, its boundary's record before it stands at {before}; \
                 restore the log from an export"
            ))),
        }
    }

    /// Records after a position, as many as fit into a page.
    async fn page(&self, after: Position, most: i64) -> Result<Vec<Record>, ReadError> {
        let rows = sqlx::query_as::<_, Stored>(
            "SELECT position, boundary, bytes FROM record WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after.0.cast_signed())
        .bind(most)
        .fetch(&self.pool);
        collect_page(rows).await
    }

    /// One boundary's records after a position and up to `tail`, as many as fit into a page. The index finds
    /// them by their predecessors, which stand in the same order: the first is the one whose predecessor is the last
    /// that doesn't stand after `after`.
    async fn boundary_page(
        &self,
        boundary: Boundary,
        after: Position,
        tail: Position,
    ) -> Result<Vec<Record>, ReadError> {
        let rows = sqlx::query_as::<_, Stored>(
            "SELECT position, boundary, bytes FROM record
             WHERE boundary = $1 AND position > $2 AND position <= $3 AND previous >=
                 (SELECT coalesce(max(previous), 0) FROM record WHERE boundary = $1 AND previous <= $2)
             ORDER BY previous LIMIT $4",
        )
        .bind(boundary.subject())
        .bind(after.0.cast_signed())
        .bind(tail.0.cast_signed())
        .bind(PAGE_RECORDS)
        .fetch(&self.pool);
        collect_page(rows).await
    }
}

/// Collects rows until the page is full, or ends before a row that can't be read: the next page says why.
async fn collect_page(mut rows: BoxStream<'_, sqlx::Result<Stored>>) -> Result<Vec<Record>, ReadError> {
    let mut page = Vec::new();
    let mut bytes = 0;
    while bytes < PAGE_BYTES {
        let row = rows.try_next().await.map_err(unavailable);
        let record = match row.and_then(|row| row.map(|Stored(record)| record).transpose()) {
            Ok(None) => break,
            Ok(Some(record)) => record,
            Err(_) if !page.is_empty() => break,
            Err(error) => return Err(error),
        };
        bytes += record.bytes.len();
        page.push(record);
    }
    Ok(page)
}

/// Where one follower stands.
struct Follower {
    reader: Reader,
    tail: watch::Receiver<Position>,
    continuity: Continuity,
}

impl Follower {
    /// The next records, as soon as there are some; `None` when the log is closed.
    async fn next_page(&mut self) -> Option<Result<Vec<Record>, ReadError>> {
        loop {
            let tail = *self.tail.borrow_and_update();
            let last = self.continuity.last();
            if last < tail {
                return Some(self.page_up_to(tail).await);
            }
            self.tail.changed().await.ok()?;
        }
    }

    /// Records after the last one: from memory if they are there, else from the file.
    async fn page_up_to(&mut self, tail: Position) -> Result<Vec<Record>, ReadError> {
        let last = self.continuity.last();
        let mut page = match self.reader.recent.after(last) {
            Some(page) => page,
            None => self.reader.page(last, PAGE_RECORDS).await?,
        };
        // The file may already hold records that the writer doesn't acknowledge yet.
        page.retain(|record| record.position <= tail);
        // What stands before a gap is whole.
        let mut whole = 0;
        for record in &page {
            match self.continuity.accept(record.position) {
                Ok(()) => whole += 1,
                Err(gap) if whole == 0 => return Err(gap),
                Err(_) => break,
            }
        }
        page.truncate(whole);
        if page.is_empty() {
            let expected = last.next();
            return Err(ReadError::Damaged(format!(
                "log.db has no record {expected}, but its tail is {tail}"
            )));
        }
        Ok(page)
    }
}
