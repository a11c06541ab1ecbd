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
