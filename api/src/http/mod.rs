//! The HTTP API (DESIGN §8): one table of endpoints, from which routes, authorization and the OpenAPI document are made.
//!
//! - [`endpoints`] is the table; [`endpoint`] one row of it. [`dispatch`] is the journey of a request, [`exchange`] what a
//!   handler gets, [`answer`] and [`refusal`] what it gives back.
//! - [`access`]: whose token it is and what it may do; [`long_answers`] end with it. [`request_rates`] and [`memory_budget`]: how much
//!   somebody may ask for at once. [`reads`] and [`writes`]: queries that see what was durable when
//!   they came, and commands.
//! - Resources, one file each: [`groups`], [`entities`] with [`entity_routes`] and [`entity_lists`], [`versions`], [`history_export`],
//!   [`configurations`], [`differences`], [`transactions`], [`apply`], [`rollback`], [`events`], [`nodes`], [`tokens`],
//!   [`node_certificates`], [`provisioning`], [`deck`] with [`konnect_schemas`], [`log_head`], [`operations`];
//!   [`monitoring`] answers the last on a listener of its own.
//! - The rest of Kong's Admin API: [`consumer_groups`], [`schemas`], [`tags`], [`upstream_health`], [`admin_node`], [`switched_off`]; the
//!   places where it is served are in [`prefixes`], its pages in [`kong_pages`], its other bodies in [`forms`] and [`multipart`].

mod access;
mod admin_node;
mod answer;
mod apply;
mod blind_comparison;
mod body;
mod change_filters;
mod change_reports;
mod clustering;
mod configurations;
mod consumer_groups;
mod deck;
mod differences;
mod dispatch;
mod endpoint;
mod endpoints;
mod entities;
mod entity_changes;
mod entity_history;
mod entity_lists;
mod entity_routes;
mod erasure;
mod events;
mod exchange;
mod field_changes;
mod fields;
mod forms;
mod forwarding;
mod group_filters;
mod groups;
mod history_export;
mod history_lines;
mod kong_node;
mod kong_pages;
mod konnect_schemas;
mod log_head;
mod long_answers;
mod memory_budget;
mod moment;
mod monitoring;
mod multipart;
mod naming;
mod node_certificates;
mod nodes;
mod openapi;
mod operations;
mod organization_history;
mod pages;
mod paths;
mod plugin_schemas;
mod preconditions;
mod prefixes;
mod presentation;
mod provisioning;
mod query;
mod reads;
mod refusal;
mod refused_commands;
mod request_id;
mod request_rates;
mod restorations;
mod reverts;
mod rollback;
mod schemas;
mod services;
mod stored_fields;
mod streamed;
mod switched_off;
mod tags;
mod tokens;
mod transactions;
mod undoing;
mod upstream_health;
mod versions;
mod writes;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::middleware;
use axum::routing::any;
use commands::tasks::Tasks;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use self::dispatch::Resource;
use self::refusal::{Form, Refusal};
use self::request_id::RequestId;
use self::services::Services;

pub use self::apply::read as read_declarative_file;
pub use self::body::TooSlow as BodyTooSlow;
pub use self::forms::read as read_form;
pub use self::openapi::document as openapi_document;
pub use self::request_rates::RequestRates;
pub use self::services::{Entropy, Parts, Settings};

/// What is served, and where.
pub struct Routers {
    /// The whole API.
    pub api: Router,
    /// Health, readiness and metrics, without tokens, for the operations' listener; may be served by another runtime.
    pub operations: Router,
}

/// Everything that is served, for as long as the tasks run.
pub fn routers(parts: Parts, tasks: &Tasks) -> Routers {
    let entropy = parts.entropy;
    let services = Arc::new(Services::new(parts, tasks.pool().clone()));
    Routers {
        operations: monitoring::router(&services, tasks),
        api: api(services, entropy),
    }
}

fn api(services: Arc<Services>, entropy: Entropy) -> Router {
    let mut by_path: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for endpoint in endpoints::all() {
        by_path.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    let mut routes = Router::new();
    for (path, endpoints) in by_path {
        let resource = Arc::new(Resource::new(endpoints, Arc::clone(&services)));
        routes = routes.route(
            &path,
            any(move |request: Request| Arc::clone(&resource).serve(request)),
        );
    }
    // The paths are rewritten before they are routed, which a layer of `routes` itself would be too late for.
    Router::new()
        .fallback_service(routes.fallback(unknown_path))
        .layer(MapRequestLayer::new(paths::normalized))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(entropy, request_id::identify))
}

async fn unknown_path(request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    body::discard_unread(&parts.headers, body).await;
    let path = parts.uri.path();
    let of_entities =
        path.contains("/core-entities") || path.starts_with("/konnect-api/") || path.starts_with("/groups/");
    let (form, refusal) = match of_entities {
        true => (Form::Kong, Refusal::not_found()),
        false => {
            let message = format!("there is nothing at {path}; /openapi.json lists what there is");
            (Form::Problem, Refusal::new(StatusCode::NOT_FOUND, message))
        }
    };
    refusal.into_response(form, RequestId::of(&parts))
}

/// A bug. The panic hook has logged it with the request's span; the id in the answer's header leads there.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    let message = "an unexpected error occurred; the log has it under the X-Request-Id of this answer";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message).into_response(Form::Problem, Uuid::nil())
}
