//! The one table of endpoints: what isn't here isn't served.

use super::endpoint::Endpoint;
use super::{
    admin_node, apply, clustering, configurations, consumer_groups, deck, differences, entity_history,
    entity_routes, erasure, events, groups, history_export, konnect_schemas, log_head, node_certificates,
    nodes, operations, organization_history, plugin_schemas, provisioning, restorations, reverts, rollback,
    schemas, switched_off, tags, tokens, transactions, upstream_health, versions,
};

/// Every endpoint.
pub(crate) fn all() -> Vec<Endpoint> {
    [
        operations::endpoints(),
        log_head::endpoints(),
        groups::endpoints(),
        versions::endpoints(),
        entity_history::endpoints(),
        organization_history::endpoints(),
        history_export::endpoints(),
        configurations::endpoints(),
        differences::endpoints(),
        transactions::endpoints(),
        apply::endpoints(),
        rollback::endpoints(),
        reverts::endpoints(),
        erasure::endpoints(),
        restorations::endpoints(),
        events::endpoints(),
        nodes::endpoints(),
        node_certificates::endpoints(),
        provisioning::endpoints(),
        tokens::endpoints(),
        deck::endpoints(),
        konnect_schemas::endpoints(),
        entity_routes::endpoints(),
        consumer_groups::endpoints(),
        plugin_schemas::endpoints(),
        schemas::endpoints(),
        tags::endpoints(),
        admin_node::endpoints(),
        clustering::endpoints(),
        upstream_health::endpoints(),
        switched_off::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
