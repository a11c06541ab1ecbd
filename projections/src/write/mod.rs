//! Writing a batch: its rows and its checkpoint in one transaction.

mod bulk;
pub(crate) mod generations;
mod rows;

use domain::{Digest, Position};
use sqlx::Connection as _;

use crate::batch::Batch;
use crate::database::Connection;
use crate::error::ProjectionError;

/// The version of the code that fills the views; with another one, they are made again. The catalogue's revision is
/// part of it, because folding fills fields that a newer catalogue added.
pub(crate) const VIEWS_VERSION: i64 = 1_000 + domain::schema::CATALOGUE_REVISION as i64;

/// Stands in `to_version` of what is valid now.
pub(crate) const STILL_VALID: i64 = i64::MAX;

const MOVE_CHECKPOINT: &str = "UPDATE generation SET position = $3, digest = $4 WHERE generation = $1 AND position = $2 AND retired = 0";

/// Writes a batch into a generation whose checkpoint is at `after`, all or nothing.
pub(crate) async fn write(
    connection: &mut Connection,
    generation: i64,
    after: Position,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let Some((position, digest)) = batch.checkpoint else {
        return Ok(());
    };
    let mut transaction = connection.begin().await?;
    move_checkpoint(&mut transaction, generation, after, position, digest).await?;
    rows::write_rows(&mut transaction, generation, batch).await?;
    transaction.commit().await?;
    Ok(())
}

/// Moves the checkpoint from where this process left it; that it isn't there any more means another process did.
async fn move_checkpoint(
    connection: &mut Connection,
    generation: i64,
    from: Position,
    to: Position,
    digest: Digest,
) -> Result<(), ProjectionError> {
    let moved = sqlx::query(MOVE_CHECKPOINT)
        .bind(generation)
        .bind(from.0.cast_signed())
        .bind(to.0.cast_signed())
        .bind(digest.0.as_slice())
        .execute(connection)
        .await?;
    if moved.rows_affected() == 0 {
        return Err(ProjectionError::Fenced { expected: from });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let mut all = vec![MOVE_CHECKPOINT.to_owned()];
    all.extend(generations::STATEMENTS.iter().map(|&sql| sql.to_owned()));
    all.extend(rows::bulks().iter().flat_map(|bulk| bulk.statements()));
    all
}
