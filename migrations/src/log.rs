//! `log.db`: the embedded event log.

use sqlx::migrate::Migrator;

/// Brings `log.db` to the newest schema.
pub fn migrator() -> Migrator {
    crate::embedded::migrator(&[(1, "records", include_str!("../log/0001_records.sql"))])
}
