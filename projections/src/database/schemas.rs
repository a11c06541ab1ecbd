//! Where things are in a PostgreSQL database: each version of the program has its views in a schema of its own, so that a
//! newer one beside older ones neither changes their tables nor replaces what they read. What all versions share stands
//! in the schema that the connection names, `public` unless told otherwise.

use domain::Digest;
use migrations::views;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlSafeStr as _};

/// Processes that make schemas or remove them do so one after the other.
pub(crate) const TAKE_TURNS: &str = "SELECT pg_advisory_xact_lock(7231900478812061554)";
const SHARED: &str = "SELECT current_schema()";
const NOTE: &str = "INSERT INTO views_of_version (schema_name) VALUES ($1)
    ON CONFLICT (schema_name) DO UPDATE SET unused_since = NULL";

/// The schemas that a process works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schemas {
    /// Where the views of this version are.
    pub(crate) own: String,
    /// Where that is what all versions share.
    pub(crate) shared: String,
}

impl Schemas {
    /// Makes the schemas if they aren't there, and what is shared; the own one is left empty.
    pub(super) async fn prepare(
        connection: &mut PgConnection,
        views_version: i64,
    ) -> Result<Self, sqlx::Error> {
        let shared: Option<String> = sqlx::query(SHARED).fetch_one(&mut *connection).await?.get(0);
        let shared = shared.ok_or_else(|| {
            sqlx::Error::Configuration(
                "the database has no schema to work in: create one that the user's search_path names".into(),
            )
        })?;
        views::shared_postgres().run(&mut *connection).await?;
        let own = name(&shared, views_version);
        let mut transaction = sqlx::Connection::begin(connection).await?;
        sqlx::query(TAKE_TURNS).execute(&mut *transaction).await?;
        let create = format!("CREATE SCHEMA IF NOT EXISTS {own}");
        sqlx::query(AssertSqlSafe(create).into_sql_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(NOTE).bind(&own).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Self { own, shared })
    }

    /// The schemas, if this version's views were made; makes nothing.
    pub(crate) async fn find(
        connection: &mut PgConnection,
        views_version: i64,
    ) -> Result<Option<Self>, sqlx::Error> {
        let shared: Option<String> = sqlx::query(SHARED).fetch_one(&mut *connection).await?.get(0);
        let Some(shared) = shared else {
            return Ok(None);
        };
        let own = name(&shared, views_version);
        let made = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL");
        let made: bool = made
            .bind(format!("{own}.generation"))
            .fetch_one(connection)
            .await?;
        Ok(made.then_some(Self { own, shared }))
    }

    /// Makes a connection look here.
    pub(crate) async fn enter(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let enter = format!("SET search_path TO {}", self.search_path());
        sqlx::query(AssertSqlSafe(enter).into_sql_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// In which order names are looked for.
    pub(super) fn search_path(&self) -> String {
        format!("{},{}", self.own, quoted(&self.shared))
    }
}

/// A schema's name as statements write it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the views of a version are called. Whoever changes their tables has another name even where the version was
/// forgotten; two installations in one database have different ones.
fn name(shared: &str, views_version: i64) -> String {
    let mut made_of = shared.as_bytes().to_vec();
    for migration in views::postgres().iter() {
        made_of.extend_from_slice(&migration.checksum);
    }
    let digest = Digest::of(&made_of).to_string();
    format!("views_{views_version}_{}", &digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_and_every_installation_has_a_name_of_its_own() {
        let names = [name("public", 1), name("public", 2), name("other", 1)];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        for name in names {
            let plain =
                |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
            assert!(name.chars().all(plain) && name.starts_with("views_"), "{name}");
        }
    }
}
