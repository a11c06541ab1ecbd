//! The settings file: TOML, its keys the names of `serve`'s flags; any other key is refused.

use std::path::Path;

use clap::{Args, Command};

use super::flags::ServeFlags;
use super::settings::SettingsError;

/// Reads a settings file.
pub fn read(path: &Path) -> Result<ServeFlags, SettingsError> {
    let unreadable = |reason: String| SettingsError::File {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&text).map_err(unreadable)
}

fn parse(text: &str) -> Result<ServeFlags, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| explain(&error))?;
    let known = known_keys();
    if let Some(unknown) = table.keys().find(|key| !known.contains(key)) {
        let known = known.join(", ");
        return Err(format!(
            "there is no setting '{unknown}': remove it or use one of {known}"
        ));
    }
    table.try_into().map_err(|error| explain(&error))
}

/// A syntax error shows the line it is in, but not one that may hold a password.
fn explain(error: &toml::de::Error) -> String {
    let shown = error.to_string();
    if shown.contains("database") {
        error.message().to_owned()
    } else {
        shown
    }
}

/// The names of the flags; the file can't name another file.
fn known_keys() -> Vec<String> {
    ServeFlags::augment_args(Command::new("serve"))
        .get_arguments()
        .filter_map(|flag| flag.get_long())
        .filter(|name| *name != "config")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_can_stand_in_the_file() {
        let flags = parse(
            r#"
            listen = "127.0.0.1:1"
            ops-listen = "127.0.0.1:4"
            connections = 100
            connections-per-address = 10
            requests-per-token = 0
            requests-per-address = 0
            request-memory = 64
            dataplane-connections = 100
            dataplane-connections-per-address = 10
            dataplane-listen = ["127.0.0.1:2", "127.0.0.1:3"]
            dataplane-name = ["control-plane.test"]
            dataplane-shared-cert = ["e"]
            dataplane-shared-key = ["f"]
            dataplane-push-interval = 1000
            node-retention = 60
            new-nodes-per-hour = 500
            group-retention = 0
            dataplane-plaintext = true
            tls-cert = "a"
            tls-key = "b"
            behind-proxy = true
            proxy-hops = 2
            proxy-header = "forwarded"
            drain-seconds = 5
            log-format = "json"
            accept-clock = "2026-11-30"
            data-dir = "c"
            log = "nats://d:1"
            database = "sqlite"
            nats-replicas = 3
            nats-monitor = "http://d:8222"
            nats-ca = "g"
            nats-cert = "h"
            nats-key = "i"
            nats-credentials = "j"
            log-limit = 64
            master-key-file = "k"
            master-key-command = "l"
            "#,
        )
        .unwrap();
        assert_eq!(flags.dataplane_listen.len(), 2);
        assert_eq!(flags.storage.nats_replicas, Some(3));
        assert_eq!(known_keys().len(), 38, "this test names every key");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let refusal = parse("lisen = '127.0.0.1:1'").unwrap_err();
        assert!(
            refusal.contains("'lisen'") && refusal.contains("listen, "),
            "{refusal}"
        );
    }

    #[test]
    fn a_line_with_a_password_isnt_shown() {
        let refusal = parse("database = 'postgres://me:hunter2@db/views").unwrap_err();
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        assert!(parse("listen = 8088").is_err());
        assert!(parse("nats-replicas = 'many'").is_err());
    }
}
