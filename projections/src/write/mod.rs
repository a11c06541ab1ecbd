//! Writing a batch: its rows and its checkpoint in one transaction.

pub(crate) mod bulk;
mod entities;
pub(crate) mod generations;
mod rows;

use domain::{Digest, Keyring, Position};

use crate::batch::Batch;
use crate::database::{Connection, Writer};
use crate::error::ProjectionError;

/// The version of the code that fills the views: with another one they are others, made again in a file and beside each
/// other in PostgreSQL. The catalogue's revision is part of it, because folding fills fields that a newer catalogue added.
pub(crate) const VIEWS_VERSION: i64 = 7_000 + domain::schema::CATALOGUE_REVISION as i64;

/// Stands in `to_version` of what is valid now.
pub(crate) const STILL_VALID: i64 = i64::MAX;

/// How many of a change's events a list shows.
pub(crate) const LISTED_EVENTS: usize = 20;

const MOVE_CHECKPOINT: &str = "UPDATE generation SET position = $3, digest = $4
    WHERE generation = $1 AND position = $2 AND epoch = $5 AND retired = 0";

/// A generation's checkpoint as its one writer knows it: who finds another one there is not the writer any more.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) generation: i64,
    /// The lease under which it is written.
    pub(crate) epoch: i64,
    pub(crate) position: Position,
}

/// Writes a batch after a checkpoint, all or nothing.
pub(crate) async fn write(
    writer: &mut Writer<'_>,
    held: Held,
    batch: &Batch,
    keyring: &dyn Keyring,
) -> Result<(), ProjectionError> {
    let mut transaction = writer.begin().await?;
    write_within(&mut transaction.connection(), held, batch, keyring).await?;
    if let Some((position, _)) = batch.checkpoint {
        transaction.announce(held.generation, position).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Writes a batch after a checkpoint as part of a transaction.
pub(crate) async fn write_within(
    connection: &mut Connection<'_>,
    held: Held,
    batch: &Batch,
    keyring: &dyn Keyring,
) -> Result<(), ProjectionError> {
    let Some((position, digest)) = batch.checkpoint else {
        return Ok(());
    };
    move_checkpoint(connection, held, position, digest).await?;
    rows::write_rows(connection, held.generation, batch, keyring).await
}

/// Moves the checkpoint from where its writer left it; that it isn't there any more means another one did.
async fn move_checkpoint(
    connection: &mut Connection<'_>,
    held: Held,
    to: Position,
    digest: Digest,
) -> Result<(), ProjectionError> {
    let arguments = [
        held.generation.into(),
        held.position.0.cast_signed().into(),
        to.0.cast_signed().into(),
        (&digest.0).into(),
        held.epoch.into(),
    ];
    match connection.execute(MOVE_CHECKPOINT, arguments).await? {
        0 => Err(ProjectionError::Fenced {
            expected: held.position,
        }),
        _ => Ok(()),
    }
}

/// Every statement of this part.
#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let mut all = vec![MOVE_CHECKPOINT.to_owned()];
    all.extend(generations::STATEMENTS.iter().map(|&sql| sql.to_owned()));
    all.extend(rows::STATEMENTS.iter().map(|&sql| sql.to_owned()));
    all.extend(rows::bulks().iter().flat_map(|bulk| bulk.statements()));
    all
}
