//! The views: read models and stored states, and on SQLite the observed nodes, which on PostgreSQL are shared by the
//! processes of all versions. Both databases have the same tables, keys and indexes.

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
        (
            6,
            "node groups",
            include_str!("../views/sqlite/0006_node_groups.sql"),
        ),
    ])
}

/// Brings what all versions share in PostgreSQL to the newest form. What a newer version has added is left alone.
pub fn shared_postgres() -> Migrator {
    let mut migrator = crate::embedded::migrator(&[
        (1, "shared", include_str!("../shared/postgres/0001_shared.sql")),
        (
            2,
            "node groups",
            include_str!("../shared/postgres/0002_node_groups.sql"),
        ),
    ]);
    // Beside these tables there may be an older version's views, with a record of migrations under the usual name.
    migrator.dangerous_set_table_name("shared_migrations");
    migrator.set_ignore_missing(true);
    migrator
}

/// Makes one version's views in a schema of PostgreSQL; processes that start together take turns.
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
