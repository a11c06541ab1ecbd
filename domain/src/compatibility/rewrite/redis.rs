//! How to reach Redis: since 3.6 all plugins describe it by the same record, before each by fields of its own. An instance
//! before 3.6 refuses the record whatever the policy, so it is always taken apart.

use super::Rewriting;

const CONNECTION: &str = "config.redis";
/// The record's fields, which were fields of the plugin with `redis_` before them.
const CONNECTION_FIELDS: [&str; 9] = [
    "host",
    "port",
    "username",
    "password",
    "database",
    "timeout",
    "ssl",
    "ssl_verify",
    "server_name",
];

const STORAGE: &str = "config.storage_config.redis";
/// What acme's fields were called before.
const STORAGE_FIELDS: [(&str, &str); 4] = [
    ("password", "auth"),
    ("server_name", "ssl_server_name"),
    ("extra_options.namespace", "namespace"),
    ("extra_options.scan_count", "scan_count"),
];

/// rate-limiting and response-ratelimiting.
pub(super) fn flat(rewriting: &mut Rewriting<'_, '_>) {
    for field in CONNECTION_FIELDS {
        if let Some(value) = rewriting.take(&format!("{CONNECTION}.{field}")) {
            rewriting.set(&format!("config.redis_{field}"), value);
        }
    }
    rewriting.take(CONNECTION);
}

/// acme, whose record stays and has other names in it.
pub(super) fn acme(rewriting: &mut Rewriting<'_, '_>) {
    for (field, before) in STORAGE_FIELDS {
        if let Some(value) = rewriting.take(&format!("{STORAGE}.{field}")) {
            rewriting.set(&format!("{STORAGE}.{before}"), value);
        }
    }
    rewriting.take(&format!("{STORAGE}.extra_options"));
}
