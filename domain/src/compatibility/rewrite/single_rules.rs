//! Rules that concern one field of one owner.

use serde_json::{Value, json};

use super::Rewriting;
use crate::compatibility::Effect;

/// Before 3.5 a filter's configuration was a text, which newer instances make of it as well.
pub(super) fn filter_configuration_as_text(rewriting: &mut Rewriting<'_, '_>) {
    let filters = rewriting.body.get_mut("filters").and_then(Value::as_array_mut);
    for filter in filters.into_iter().flatten() {
        if let Some(configuration) = filter.get_mut("config")
            && !matches!(configuration, Value::Null | Value::String(_))
        {
            *configuration = configuration.to_string().into();
        }
    }
}

/// Before 3.4 ip-restriction knew the web's protocols only. Other protocols that nobody asked for are left out.
pub(super) fn web_protocols(rewriting: &mut Rewriting<'_, '_>) {
    const DEFAULT: [&str; 6] = ["http", "https", "tcp", "tls", "grpc", "grpcs"];
    let protocols = rewriting.value("protocols").and_then(Value::as_array);
    let is_default = protocols.is_some_and(|protocols| {
        protocols.len() == DEFAULT.len() && DEFAULT.iter().all(|name| protocols.contains(&json!(name)))
    });
    if is_default {
        rewriting.change("protocols", json!(["http", "https", "grpc", "grpcs"]));
    }
}

/// Before 3.3 names of environment variables had no dashes.
pub(super) fn underscores_in_prefix(rewriting: &mut Rewriting<'_, '_>) {
    if rewriting.text("name") == Some("env")
        && let Some(prefix) = rewriting.text("config.prefix")
    {
        let prefix = prefix.replace('-', "_");
        rewriting.change("config.prefix", prefix.into());
    }
}

/// Before 3.2 connections to a service by `tls` couldn't be configured: what only says so is left out.
pub(super) fn stream_tls(rewriting: &mut Rewriting<'_, '_>) {
    const SETTINGS: [&str; 4] = [
        "client_certificate",
        "tls_verify",
        "tls_verify_depth",
        "ca_certificates",
    ];
    if rewriting.text("protocol") != Some("tls") {
        return;
    }
    for field in SETTINGS {
        let Some(value) = rewriting.take(field) else {
            continue;
        };
        let release = rewriting.release();
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Array(items) if items.is_empty() => {}
            // It limits a verification that isn't made.
            _ if field == "tls_verify_depth" => {
                let message = format!(
                    "Kong {release} doesn't have this field for services by tls: it has no effect there"
                );
                rewriting.found(field, Effect::FieldLeftOut, message);
            }
            _ => {
                let message = format!(
                    "Kong {release} doesn't have this field for services by tls, and leaving it out would protect less: unset \
                     it, or update the instance"
                );
                rewriting.withhold(field, message);
            }
        }
    }
}
