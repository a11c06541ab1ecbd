//! The rules that data cannot say, by the id under which schema files name them.

mod address;
mod certificate;
mod cors;
mod http_log;
mod ip;
mod key_material;
mod lua;
mod names;
mod path;
mod rate_limiting;
mod route_expression;
mod transformer;
mod upstream;
mod url;

use serde_json::{Map, Value};

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

/// The function of a `custom_validator`.
pub(super) fn field(id: &str) -> Option<FieldRule> {
    let check: fn(&Value) -> Result<(), String> = match id {
        "certificate" => |value| text(value, certificate::parses),
        "cors.origin" => |value| text(value, cors::origin),
        "header_name" => |value| text(value, names::header),
        "host" => |value| text(value, address::host),
        "host_with_optional_port" => |value| text(value, address::host_with_optional_port),
        "http_token" => |value| text(value, names::http_token),
        "http-log.no_double_auth" => http_log::no_double_authorization,
        "ip" => |value| text(value, ip::address),
        "ip_or_cidr" => |value| text(value, ip::address_or_range),
        "key" => |value| text(value, certificate::key_parses),
        "path" => |value| text(value, path::plain),
        "rate-limiting.periods_and_sync_rate" => rate_limiting::periods_and_sync_rate,
        "request-transformer.name_value_template" => |value| text(value, transformer::name_value_template),
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
        // The instance has the shared dictionary, or says so itself; Lua is only compiled there (README §1.2, §6.4).
        "prometheus.shared_dict" | "lua_expression" => accept,
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
        "certificates.alt_cert_matches_key" => certificate::alternative_matches_key,
        "certificates.alt_key_type_differs" => certificate::alternative_differs_in_type,
        "certificates.cert_matches_key" => certificate::matches_key,
        "routes.path_handling_deprecation" => |_| Ok(()),
        "routes.validate_router_expression" => route_expression::validates,
        _ => return None,
    })
}

/// The function of a shorthand field that isn't just moved.
pub(super) fn shorthand(id: &str) -> Option<ShorthandRule> {
    Some(match id {
        "services.url_shorthand" => url::service_fields,
        "upstreams.algorithm_shorthand" => upstream::algorithm,
        "upstreams.hash_on_shorthand" => upstream::hash_on,
        _ => return None,
    })
}

fn text(value: &Value, rule: fn(&str) -> Result<(), String>) -> Result<(), String> {
    value.as_str().map_or(Ok(()), rule)
}

fn accept(_: &Value) -> Result<(), String> {
    Ok(())
}
