//! `views.db`: the read models, stored states and observed nodes.

use sqlx::migrate::Migrator;

/// Brings `views.db` to the newest schema.
pub fn migrator() -> Migrator {
    crate::embedded::migrator(&[(1, "views", include_str!("../views/0001_views.sql"))])
}
