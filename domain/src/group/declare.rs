//! A declarative file as one change.

use std::sync::Arc;

use super::GroupError;
use super::decide::Draft;
use crate::declarative::Declaration;

/// Makes the configuration what the file says.
pub fn declare(
    _draft: &mut Draft<'_>,
    _declaration: &Arc<Declaration>,
    _prune: bool,
) -> Result<(), GroupError> {
    Err(GroupError::Malformed(
        "declarative files are not taken yet".to_owned(),
    ))
}
