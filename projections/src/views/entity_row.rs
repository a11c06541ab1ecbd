//! One row of `entity`, and the entity it holds with its secrets opened.

use std::sync::Arc;

use domain::codec::DecodeError;
use domain::group::Entity;
use domain::group::event::{SealedField, open_body};
use domain::{Boundary, EntityId, GroupId, Kind, Timestamp, Version};
use uuid::Uuid;

use super::Views;
use crate::database::Row;
use crate::error::ViewError;
use crate::write::STILL_VALID;

/// A row that was selected as `entity_id, from_version, to_version, expires_at, body, sealed`.
pub(super) struct EntityRow {
    pub(super) id: EntityId,
    pub(super) from: Version,
    /// None: valid now.
    pub(super) to: Option<Version>,
    expires_at: Option<Timestamp>,
    body: String,
    sealed: Vec<SealedField>,
}

impl EntityRow {
    /// Reads the columns.
    pub(super) fn read(row: &Row) -> Result<Self, ViewError> {
        let id = Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?;
        let to: i64 = row.get(2)?;
        let sealed: Option<&[u8]> = row.get(5)?;
        let sealed = sealed.map(rmp_serde::from_slice).transpose();
        Ok(Self {
            id: EntityId(id),
            from: row.get::<i64>(1)?.cast_unsigned(),
            to: (to != STILL_VALID).then_some(to.cast_unsigned()),
            expires_at: row.get::<Option<i64>>(3)?.map(Timestamp),
            body: row.get(4)?,
            sealed: sealed.map_err(ViewError::damaged)?.unwrap_or_default(),
        })
    }
}

impl Views {
    /// The entity of a row, loading the keys that opening it needs.
    pub(super) async fn open(
        &self,
        group: GroupId,
        kind: Kind,
        row: EntityRow,
    ) -> Result<Arc<Entity>, ViewError> {
        let (boundary, keyring) = (Boundary::Group(group), &*self.shared.keyring);
        loop {
            match open_body(
                kind,
                row.id,
                row.body.as_str().into(),
                &row.sealed,
                boundary,
                keyring,
            ) {
                Ok(entity) => {
                    return Ok(Arc::new(Entity {
                        touched: row.from,
                        expires_at: row.expires_at,
                        ..entity
                    }));
                }
                Err(DecodeError::KeyNotLoaded(missing)) => keyring.load(&[missing.0].into()).await?,
                Err(error) => return Err(ViewError::damaged(error)),
            }
        }
    }
}
