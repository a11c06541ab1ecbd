//! Loading a group: its stored state if there is one that fits, then the tail of its history from the log.

use domain::chain::{Accepted, BoundaryChain};
use domain::codec::DecodeError;
use domain::group::{Group, stored};
use domain::state_store::StoredState;
use domain::{Boundary, Digest, GroupId, Position};
use futures::StreamExt;

use super::Groups;
use super::fold::{Fold, Loading};
use crate::decoding::{open, reassemble};
use crate::error::ProjectionError;

/// Folds a group up to everything that is durable at the call.
pub(super) async fn load(groups: &Groups, group: GroupId) -> Result<Fold, ProjectionError> {
    let boundary = Boundary::Group(group);
    let (state, position, digest) = start(groups, boundary).await?;
    let mut loading = Loading::from(state, position, digest);
    let mut chain = BoundaryChain::resumed(boundary, position, digest);
    let mut records = groups.log.read_boundary(boundary, position);
    while let Some(record) = records.next().await {
        let record = record?;
        let sealed = match chain.accept(&record)? {
            Accepted::Commit(sealed) => Some(sealed),
            Accepted::Part => None,
            Accepted::Missing { first } => reassemble(&*groups.log, boundary, first, record.position).await?,
        };
        match sealed {
            Some(sealed) => loading.take(open(&sealed, &*groups.keyring).await?),
            None => loading.passed(chain.position(), chain.digest()),
        }
    }
    Ok(loading.finish(group))
}

/// The stored state, or the empty one: a stored state that can't be used is a cache that missed.
async fn start(groups: &Groups, boundary: Boundary) -> Result<(Group, Position, Digest), ProjectionError> {
    let stored = match groups.states.load(boundary, stored::STATE_VERSION).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(%boundary, %error, "a stored state can't be read; the log is folded instead");
            None
        }
    };
    if let Some(stored) = stored {
        match decode(groups, boundary, &stored).await? {
            Ok(group) => return Ok((group, stored.position, stored.digest)),
            Err(error) => {
                tracing::warn!(%boundary, %error, "a stored state can't be decoded; the log is folded instead");
            }
        }
    }
    Ok((Group::default(), Position::START, Digest::ZERO))
}

async fn decode(
    groups: &Groups,
    boundary: Boundary,
    state: &StoredState,
) -> Result<Result<Group, DecodeError>, ProjectionError> {
    loop {
        match stored::decode(&state.bytes, boundary, &*groups.keyring) {
            Err(DecodeError::KeyNotLoaded(missing)) => groups.keyring.load(&[missing.0].into()).await?,
            decoded => return Ok(decoded),
        }
    }
}
