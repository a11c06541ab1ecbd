//! Stored states: folded aggregates for a fast start, kept beside the views. A cache of the fold, never the truth.

use std::sync::Arc;

use async_trait::async_trait;
use domain::state_store::{StateStore, StateStoreError, StoredState};
use domain::{Boundary, Digest, Position};

use crate::database::Row;
use crate::shared::Shared;

const LOAD: &str =
    "SELECT position, digest, bytes FROM stored_state WHERE boundary = $1 AND state_version = $2";
const SAVE: &str =
    "INSERT INTO stored_state (boundary, state_version, position, digest, bytes) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (boundary) DO UPDATE SET state_version = excluded.state_version, position = excluded.position,
    digest = excluded.digest, bytes = excluded.bytes
    WHERE stored_state.state_version <> excluded.state_version OR stored_state.position <= excluded.position";

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
    let digest: &[u8] = row.get(1).map_err(failed)?;
    Ok(StoredState {
        position: Position(row.get::<i64>(0).map_err(failed)?.cast_unsigned()),
        digest: Digest(digest.try_into().map_err(failed)?),
        state_version,
        bytes: row.get::<Vec<u8>>(2).map_err(failed)?.into(),
    })
}

#[async_trait]
impl StateStore for States {
    async fn load(
        &self,
        boundary: Boundary,
        state_version: u32,
    ) -> Result<Option<StoredState>, StateStoreError> {
        let row = self
            .shared
            .database
            .fetch_optional(LOAD, [boundary.subject().into(), i64::from(state_version).into()])
            .await
            .map_err(failed)?;
        row.map(|row| state(&row, state_version)).transpose()
    }

    async fn save(&self, boundary: Boundary, state: StoredState) -> Result<(), StateStoreError> {
        let arguments = [
            boundary.subject().into(),
            i64::from(state.state_version).into(),
            state.position.0.cast_signed().into(),
            (&state.digest.0).into(),
            state.bytes.to_vec().into(),
        ];
        let mut writer = self.shared.database.write().await.map_err(failed)?;
        writer
            .connection()
            .execute(SAVE, arguments)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
