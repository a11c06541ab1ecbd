//! The schema files, in the program. Adding a kind or a plugin is adding its file and one line here.

macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../schemas/", $folder, "/", $name, ".json")))),*]
    };
}

/// Kinds, each after those it refers to, so that creating in this order never dangles.
pub(super) const ENTITIES: &[(&str, &str)] = files!("entities":
    "certificates",
    "snis",
    "ca_certificates",
    "vaults",
    "key_sets",
    "keys",
    "upstreams",
    "targets",
    "services",
    "routes",
    "plugin_schemas",
    "consumer_groups",
    "consumers",
    "consumer_group_consumers",
    "keyauth_credentials",
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "acls",
    "oauth2_credentials",
    "plugins",
    "filter_chains",
    "oauth2_authorization_codes",
    "oauth2_tokens",
    "sessions",
    "acme_storage",
    "ratelimiting_metrics",
    "clustering_data_planes",
    "parameters",
    "tags",
    "workspaces",
);

/// Plugins, by name.
pub(super) const PLUGINS: &[(&str, &str)] = files!("plugins":
    "acl",
    "acme",
    "ai-prompt-decorator",
    "ai-prompt-guard",
    "ai-prompt-template",
    "ai-proxy",
    "ai-request-transformer",
    "ai-response-transformer",
    "aws-lambda",
    "azure-functions",
    "basic-auth",
    "bot-detection",
    "correlation-id",
    "cors",
    "datadog",
    "file-log",
    "grpc-gateway",
    "grpc-web",
    "hmac-auth",
    "http-log",
    "ip-restriction",
    "jwt",
    "key-auth",
    "ldap-auth",
    "loggly",
    "oauth2",
    "opentelemetry",
    "post-function",
    "pre-function",
    "prometheus",
    "proxy-cache",
    "rate-limiting",
    "redirect",
    "request-size-limiting",
    "request-termination",
    "request-transformer",
    "response-ratelimiting",
    "response-transformer",
    "session",
    "standard-webhooks",
    "statsd",
    "syslog",
    "tcp-log",
    "udp-log",
    "zipkin",
);

/// Which of their fields are sealed, and why the others aren't.
pub(super) const SECRETS: &str = include_str!("../../schemas/secrets.json");

/// The kind whose subschemas are the plugins.
pub(super) const PLUGIN_KIND: &str = "plugins";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_file_is_in_the_catalogue() {
        for (folder, embedded) in [("entities", ENTITIES), ("plugins", PLUGINS)] {
            let path = format!("{}/schemas/{folder}", env!("CARGO_MANIFEST_DIR"));
            for file in std::fs::read_dir(path).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                assert!(
                    embedded.iter().any(|(name, _)| format!("{name}.json") == file),
                    "{folder}/{file}"
                );
            }
        }
    }
}
