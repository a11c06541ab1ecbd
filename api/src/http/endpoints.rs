//! The one table of endpoints: what isn't here isn't served.

use super::endpoint::Endpoint;
use super::{
    apply, configurations, deck, differences, entity_routes, events, groups, nodes, operations, rollback,
    tokens, transactions, versions,
};

/// Every endpoint.
pub(crate) fn all() -> Vec<Endpoint> {
    [
        operations::endpoints(),
        groups::endpoints(),
        versions::endpoints(),
        configurations::endpoints(),
        differences::endpoints(),
        transactions::endpoints(),
        apply::endpoints(),
        rollback::endpoints(),
        events::endpoints(),
        nodes::endpoints(),
        tokens::endpoints(),
        deck::endpoints(),
        entity_routes::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
