//! Settings: what a person wrote as flags, environment variables `RUNTIME_MANAGER_<FLAG>` and a TOML file, in that order of
//! precedence, checked and completed with defaults before anything starts (DESIGN §8).
//!
//! - [`flags`]: what can be written, one definition for all three places.
//! - [`file`]: the TOML file.
//! - [`settings`]: what the program runs with.

pub mod file;
pub mod flags;
pub mod settings;

pub use flags::{LogFormat, ProxyHeader, ServeFlags, StorageFlags};
pub use settings::{
    DatabaseEngine, DataplaneSettings, Forwarding, LogEngine, MasterKeySource, NatsAccess, Settings,
    SettingsError, StorageSettings, TlsFiles,
};
