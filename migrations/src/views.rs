//! The views: read models, stored states and observed nodes. Both databases have the same tables, keys and indexes.

use sqlx::migrate::Migrator;

/// Brings `views.db` to the newest schema.
pub fn sqlite() -> Migrator {
    crate::embedded::migrator(&[
        (1, "views", include_str!("../views/sqlite/0001_views.sql")),
        (2, "epoch", include_str!("../views/sqlite/0002_epoch.sql")),
        (
            3,
            "certificates",
            include_str!("../views/sqlite/0003_certificates.sql"),
        ),
        (4, "intervals", include_str!("../views/sqlite/0004_intervals.sql")),
        (
            5,
            "change terms",
            include_str!("../views/sqlite/0005_change_terms.sql"),
        ),
    ])
}

/// Brings the views in PostgreSQL to the newest schema; processes that start together take turns.
pub fn postgres() -> Migrator {
    crate::embedded::migrator(&[
        (1, "views", include_str!("../views/postgres/0001_views.sql")),
        (2, "epoch", include_str!("../views/postgres/0002_epoch.sql")),
        (
            3,
            "certificates",
            include_str!("../views/postgres/0003_certificates.sql"),
        ),
        (
            4,
            "intervals",
            include_str!("../views/postgres/0004_intervals.sql"),
        ),
        (
            5,
            "change terms",
            include_str!("../views/postgres/0005_change_terms.sql"),
        ),
    ])
}
