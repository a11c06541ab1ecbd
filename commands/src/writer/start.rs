//! Where a fold starts: at a stored state that the log vouches for, else at the boundary's first record.

use domain::codec::DecodeError;
use domain::state_store::StoredState;
use domain::{Boundary, Digest};
use tracing::warn;

use super::Surroundings;
use super::fold::{Fold, FoldError};
use crate::aggregate::Aggregate;

impl<A: Aggregate> Fold<A> {
    /// The newest state that is known of a boundary; it still has to catch up.
    pub(crate) async fn start(boundary: Boundary, surroundings: &Surroundings) -> Self {
        match Self::from_stored(boundary, surroundings).await {
            Ok(Some(fold)) => fold,
            Ok(None) => Self::empty(boundary),
            Err(reason) => {
                warn!(%boundary, reason, "a stored state is of no use; the log is folded instead");
                Self::empty(boundary)
            }
        }
    }

    async fn from_stored(boundary: Boundary, surroundings: &Surroundings) -> Result<Option<Self>, String> {
        let (Some(version), Some(states)) = (A::STATE_VERSION, &surroundings.states) else {
            return Ok(None);
        };
        let stored = states.load(boundary, version).await;
        let Some(stored) = stored.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        if !vouched_for(boundary, &stored, surroundings).await? {
            return Err("it isn't of this log".to_owned());
        }
        let state = Self::decode(boundary, &stored, surroundings).await;
        let state = state.map_err(|error| error.to_string())?;
        Ok(Some(Self::resumed(
            boundary,
            state,
            stored.position,
            stored.digest,
        )))
    }

    async fn decode(
        boundary: Boundary,
        stored: &StoredState,
        surroundings: &Surroundings,
    ) -> Result<A, FoldError> {
        let keyring = &*surroundings.keyring;
        loop {
            match A::restore(&stored.bytes, boundary, keyring) {
                Ok(state) => return Ok(state),
                Err(DecodeError::KeyNotLoaded(missing)) => keyring.load(&[missing.0].into()).await?,
                Err(source) => {
                    let position = stored.position;
                    return Err(FoldError::Undecodable { position, source });
                }
            }
        }
    }
}

/// Whether the log has the record up to which a state is folded: stored states lie beside the views, and may be older
/// or younger than a log that was restored or made anew.
async fn vouched_for(
    boundary: Boundary,
    stored: &StoredState,
    surroundings: &Surroundings,
) -> Result<bool, String> {
    let record = surroundings.log.record_at(stored.position).await;
    let record = record.map_err(|error| error.to_string())?;
    Ok(
        record
            .is_some_and(|record| record.boundary == boundary && Digest::of(&record.bytes) == stored.digest),
    )
}
