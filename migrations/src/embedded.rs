//! Turns embedded SQL files into sqlx's migrations (its own macro would pull a second build of sqlx into the compiler).

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One embedded file: its number, its description and its text.
pub(crate) type File = (i64, &'static str, &'static str);

/// The migrator that applies these files in the order of their numbers, each in its own transaction.
pub(crate) fn migrator(files: &[File]) -> Migrator {
    let migration = |&(number, description, sql): &File| {
        let description = Cow::Borrowed(description);
        Migration::new(
            number,
            description,
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}
