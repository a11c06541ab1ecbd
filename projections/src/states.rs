//! Stored states: folded aggregates for a fast start, kept beside the views. A cache of the fold, never the truth.

use std::sync::Arc;

use async_trait::async_trait;
use domain::state_store::{StateStore, StateStoreError, StoredState};
use domain::{Boundary, Digest, Position};
use sqlx::Row as _;

use crate::database::Row;
use crate::shared::Shared;

const LOAD: &str =
    "SELECT position, digest, bytes FROM stored_state WHERE boundary = $1 AND state_version = $2";
const SAVE: &str =
    "INSERT INTO stored_state (boundary, state_version, position, digest, bytes) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (boundary) DO UPDATE SET state_version = excluded.state_version, position = excluded.position,
    digest = excluded.digest, bytes = excluded.bytes";

#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 2] = [LOAD, SAVE];

/// Stored states in the views' database.
pub(crate) struct States {
    shared: Arc<Shared>,
}

impl States {
    /// Keeps states in this database.
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

fn failed(error: impl std::fmt::Display) -> StateStoreError {
    StateStoreError(error.to_string())
}

fn state(row: &Row, state_version: u32) -> Result<StoredState, StateStoreError> {
    let digest: &[u8] = row.try_get(1).map_err(failed)?;
    Ok(StoredState {
        position: Position(row.try_get::<i64, _>(0).map_err(failed)?.cast_unsigned()),
        digest: Digest(digest.try_into().map_err(failed)?),
        state_version,
        bytes: row.try_get::<Vec<u8>, _>(2).map_err(failed)?.into(),
    })
}

#[async_trait]
impl StateStore for States {
    async fn load(
        &self,
        boundary: Boundary,
        state_version: u32,
    ) -> Result<Option<StoredState>, StateStoreError> {
        let row = sqlx::query(LOAD)
            .bind(boundary.subject())
            .bind(i64::from(state_version))
            .fetch_optional(self.shared.database.reads())
            .await
            .map_err(failed)?;
        row.map(|row| state(&row, state_version)).transpose()
    }

    async fn save(&self, boundary: Boundary, state: StoredState) -> Result<(), StateStoreError> {
        sqlx::query(SAVE)
            .bind(boundary.subject())
            .bind(i64::from(state.state_version))
            .bind(state.position.0.cast_signed())
            .bind(state.digest.0.as_slice())
            .bind(state.bytes.to_vec())
            .execute(&mut *self.shared.database.write().await)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
