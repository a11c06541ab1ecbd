//! The rules that data cannot say, by the id under which schema files name them.

mod acme;
mod address;
mod aws_lambda;
mod certificate;
mod cors;
mod http_log;
mod ip;
mod key;
mod key_material;
mod language_model;
mod lua;
mod names;
mod oauth2;
mod opentelemetry;
mod path;
mod rate_limiting;
pub(super) mod regular_expression;
mod request_termination;
mod response_ratelimiting;
mod route_expression;
mod secret_hash;
mod session;
mod transformer;
mod upstream;
mod url;
mod web_key;
mod zipkin;

use serde_json::{Map, Value};

pub(crate) use certificate::certificate_expiry;

use super::fill::Generator;

/// A rule over one value of the right type.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRule {
    pub(super) check: fn(&Value) -> Result<(), String>,
    /// The one form in which the value is stored, if it has one.
    pub(super) normalise: Option<fn(&str) -> Option<String>>,
}

/// A rule over a whole body or record.
pub(super) type EntityRule = fn(&Map<String, Value>) -> Result<(), String>;

/// The fields a shorthand's value stands for.
pub(super) type ShorthandRule = fn(&Value) -> Vec<(&'static str, Value)>;

/// What a transformation makes of a valid body.
#[derive(Clone, Copy, Debug)]
pub(super) enum TransformationRule {
    /// This field follows from others at any time.
    Derive(&'static str, fn(&Map<String, Value>) -> Option<Value>),
    /// The hash of a secret in its place.
    Hash(fn(&mut Map<String, Value>)),
    /// The hash of a secret in its place, computed before the writer where that is possible (DESIGN §4).
    SlowHash(SlowHash),
}

/// How a secret is hashed that takes long to hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowHash {
    /// The field that holds the secret, then its hash.
    pub(super) field: &'static str,
    /// Whether a body wants its secret hashed.
    pub(super) wanted: fn(&Map<String, Value>) -> bool,
    /// The hash of a secret with a fresh salt.
    pub(super) hash: fn(&str, &mut dyn Generator) -> String,
    /// Whether a stored hash is of this secret.
    pub(super) is_of: fn(&str, &str) -> bool,
}

/// The function of a `custom_validator`.
pub(super) fn field(id: &str) -> Option<FieldRule> {
    let check: fn(&Value) -> Result<(), String> = match id {
        "acme.redis_namespace" => |value| text(value, acme::redis_namespace),
        "acme.shm_name" => |value| text(value, acme::shared_dictionary),
        "certificate" => |value| text(value, certificate::parses),
        "cors.origin" => |value| text(value, cors::origin),
        "function.lua_chunk" => |value| text(value, lua::handler),
        "header_name" => |value| text(value, names::header),
        "host" => |value| text(value, address::host),
        "host_with_optional_port" => |value| text(value, address::host_with_optional_port),
        "http_token" => |value| text(value, names::http_token),
        "http-log.no_double_auth" => http_log::no_double_authorization,
        "ip" => |value| text(value, ip::address),
        "ip_or_cidr" => |value| text(value, ip::address_or_range),
        "jwt_secrets.rsa_public_key" => |value| text(value, key::token_key),
        "key" => |value| text(value, certificate::key_parses),
        "lua_expression" => |value| text(value, lua::field_value),
        "oauth2.at_least_one_flow" => oauth2::at_least_one_flow,
        "oauth2.redirect_uri" => |value| text(value, oauth2::redirect_uri),
        "opentelemetry.resource_attributes" => opentelemetry::resource_attributes,
        "path" => |value| text(value, path::plain),
        "pem_keys" => key::pem_pair,
        "rate-limiting.periods_and_sync_rate" => rate_limiting::periods_and_sync_rate,
        "request-termination.body_vs_message" => request_termination::one_answer,
        "request-transformer.name_value_template" => |value| text(value, transformer::name_value_template),
        "response-ratelimiting.periods" => response_ratelimiting::periods,
        "route_host" => |value| text(value, address::route_host),
        "router_path" => |value| text(value, path::router),
        "sni" => |value| text(value, address::sni),
        "tag" => |value| text(value, names::tag),
        "targets.target_address" => |value| text(value, address::target),
        "transformer.header_pair" => |value| text(value, transformer::header_pair),
        "transformer.header_rename_pair" => |value| text(value, transformer::header_rename_pair),
        "upstreams.name" => |value| text(value, address::upstream_name),
        "url" => |value| text(value, url::absolute),
        "utf8_name" => |value| text(value, names::utf8),
        "wildcard_host" => |value| text(value, address::wildcard_host),
        "zipkin.unique_tag_names" => zipkin::unique_tag_names,
        // The instance has the shared dictionary, or says so itself (README §6.4).
        "prometheus.shared_dict" => accept,
        _ => return None,
    };
    let normalise: Option<fn(&str) -> Option<String>> = match id {
        "targets.target_address" => Some(address::normal_target),
        _ => None,
    };
    Some(FieldRule { check, normalise })
}

/// The function of a `custom_entity_check`.
pub(super) fn entity(id: &str) -> Option<EntityRule> {
    Some(match id {
        "acme.storage_vs_role" => acme::storage_is_shared,
        "aws-lambda.proxy_url_scheme" => aws_lambda::proxy_scheme,
        "ca_certificates.check_cert" => certificate::is_authority,
        "certificates.alt_cert_matches_key" => certificate::alternative_matches_key,
        "certificates.alt_key_type_differs" => certificate::alternative_differs_in_type,
        "certificates.cert_matches_key" => certificate::matches_key,
        "filter_chains.wasm_status" => |_| Err("wasm support is not enabled".to_owned()),
        "keys.check_jwk_pem" => key::loads,
        "llm.log_statistics_supported" => language_model::statistics_are_supported,
        // A deprecation only; and a dictionary that the instance has, or says so itself (README §6.4).
        "routes.path_handling_deprecation" | "proxy-cache.shared_dict" => |_| Ok(()),
        "routes.validate_router_expression" => route_expression::validates,
        _ => return None,
    })
}

/// The function of a shorthand field that isn't just moved.
pub(super) fn shorthand(id: &str) -> Option<ShorthandRule> {
    Some(match id {
        "opentelemetry.endpoint_shorthand" => opentelemetry::endpoint,
        "services.url_shorthand" => url::service_fields,
        "session.cookie_discard_shorthand" => session::discard,
        "session.cookie_httponly_shorthand" => session::http_only,
        "session.cookie_idletime_shorthand" => session::idle_time,
        "session.cookie_lifetime_shorthand" => session::lifetime,
        "session.cookie_persistent_shorthand" => session::persistent,
        "session.cookie_renew_shorthand" => session::renewal,
        "session.cookie_samesite_shorthand" => session::same_site,
        "upstreams.algorithm_shorthand" => upstream::algorithm,
        "upstreams.hash_on_shorthand" => upstream::hash_on,
        _ => return None,
    })
}

/// The function of a transformation.
pub(super) fn transformation(id: &str) -> Option<TransformationRule> {
    Some(match id {
        "basicauth.hash_password" => TransformationRule::Hash(secret_hash::basic_auth),
        "ca_certificates.cert_digest" => TransformationRule::Derive("cert_digest", certificate::digest),
        "oauth2.hash_client_secret" => TransformationRule::SlowHash(secret_hash::OAUTH2),
        _ => return None,
    })
}

fn text(value: &Value, rule: fn(&str) -> Result<(), String>) -> Result<(), String> {
    value.as_str().map_or(Ok(()), rule)
}

fn accept(_: &Value) -> Result<(), String> {
    Ok(())
}
