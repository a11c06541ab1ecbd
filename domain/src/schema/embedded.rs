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
    "upstreams",
    "targets",
    "services",
    "routes",
    "consumers",
    "keyauth_credentials",
    "plugins",
);

/// Plugins, by name.
pub(super) const PLUGINS: &[(&str, &str)] = files!("plugins":
    "cors",
    "http-log",
    "key-auth",
    "prometheus",
    "rate-limiting",
    "request-transformer",
);

/// The kind whose subschemas are the plugins.
pub(super) const PLUGIN_KIND: &str = "plugins";
