//! `keys.db`: the embedded keyring.

use sqlx::migrate::Migrator;

/// Brings `keys.db` to the newest schema.
pub fn migrator() -> Migrator {
    crate::embedded::migrator(&[(1, "pages", include_str!("../keys/0001_pages.sql"))])
}
