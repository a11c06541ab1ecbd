//! Every statement is prepared against the newest schema of both databases: a misspelt column fails here and not in
//! front of somebody.

use std::sync::LazyLock;

use domain::Timestamp;
use sqlx::postgres::PgTypeInfo;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqlSafeStr as _};

use crate::database::{Connection, Database};
use crate::location::Location;
use crate::postgres_server::PostgresServer;

fn shared_statements() -> Vec<String> {
    let mut all = crate::write::statements();
    all.extend(crate::views::statements());
    all.extend(crate::observed::statements());
    all.extend(crate::states::STATEMENTS.map(str::to_owned));
    all
}

/// PostgreSQL takes the parameters of a list of tuples for texts, unless it is told.
fn parameters(statement: &str) -> &'static [PgTypeInfo] {
    const ENDED: [PgTypeInfo; 5] = [
        PgTypeInfo::with_oid(Oid(20)),
        PgTypeInfo::with_oid(Oid(17)),
        PgTypeInfo::with_oid(Oid(25)),
        PgTypeInfo::with_oid(Oid(17)),
        PgTypeInfo::with_oid(Oid(20)),
    ];
    const VERSIONS: [PgTypeInfo; 3] = [
        PgTypeInfo::with_oid(Oid(20)),
        PgTypeInfo::with_oid(Oid(25)),
        PgTypeInfo::with_oid(Oid(20)),
    ];
    static ALL: LazyLock<Vec<PgTypeInfo>> = LazyLock::new(|| [ENDED; 64].concat());
    static CHANGES: LazyLock<Vec<PgTypeInfo>> = LazyLock::new(|| [VERSIONS; 64].concat());
    if !statement.contains("(VALUES") {
        return &[];
    }
    if statement.contains("CROSS JOIN change") {
        return &CHANGES[..statement.matches('$').count()];
    }
    &ALL[..statement.matches('$').count()]
}

async fn assert_each_can_be_prepared(database: &Database, statements: Vec<String>) {
    let mut writer = database.write().await.expect("a connection");
    for statement in statements {
        let sql = AssertSqlSafe(statement.clone()).into_sql_str();
        let refused = match writer.connection() {
            Connection::Sqlite(connection) => connection.prepare(sql).await.err(),
            Connection::Postgres(connection) => {
                connection.prepare_with(sql, parameters(&statement)).await.err()
            }
        };
        assert!(refused.is_none(), "{statement}: {refused:?}");
    }
}

#[tokio::test]
async fn sqlite_can_prepare_every_statement() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("views.db").display().to_string();
    let database = Database::open(&Location::Sqlite(path), Timestamp(0))
        .await
        .expect("a database");
    assert_each_can_be_prepared(&database, shared_statements()).await;
}

#[tokio::test]
async fn postgres_can_prepare_every_statement() {
    let url = PostgresServer::shared().fresh_database().await;
    let location = Location::Postgres(domain::Secret::new(url));
    let database = Database::open(&location, Timestamp(0)).await.expect("a database");
    let mut statements = shared_statements();
    statements.extend(crate::lease::STATEMENTS.map(str::to_owned));
    statements.extend(crate::hearing::STATEMENTS.map(str::to_owned));
    assert_each_can_be_prepared(&database, statements).await;
}

/// How SQLite walks for a statement, step by step.
async fn plan(database: &Database, statement: &str) -> Vec<String> {
    let mut writer = database.write().await.expect("a connection");
    let Connection::Sqlite(connection) = writer.connection() else {
        panic!("a database in a file");
    };
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")).into_sql_str();
    let rows = sqlx::raw_sql(sql)
        .fetch_all(&mut *connection)
        .await
        .expect("a plan");
    rows.iter().map(|row| row.get::<String, _>(3)).collect()
}

#[tokio::test]
async fn the_past_is_looked_up_by_intervals_and_nothing_walks_through_what_has_ended() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("views.db").display().to_string();
    let database = Database::open(&Location::Sqlite(path), Timestamp(0))
        .await
        .expect("a database");
    for statement in crate::views::past_statements() {
        let plan = plan(&database, statement).await;
        let on_rows = plan.iter().filter(|step| {
            ["past", "entity", "entity_key"].iter().any(|table| {
                step.starts_with(&format!("SEARCH {table} ")) || *step == &format!("SCAN {table}")
            })
        });
        let narrow = |step: &str| {
            step.contains("fork=?")
                || step.contains("entity_current")
                || step.contains("entity_id=?")
                || step.contains("search_key=? AND kind=? AND to_version")
        };
        for step in on_rows {
            assert!(narrow(step), "{step} of {statement}");
        }
        let indexed = |step: &String| step.contains("entity_past") || step.contains("entity_key");
        assert!(plan.iter().any(indexed), "{plan:?} of {statement}");
    }
}

#[tokio::test]
async fn what_is_found_by_a_key_is_looked_up_and_never_looked_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("views.db").display().to_string();
    let database = Database::open(&Location::Sqlite(path), Timestamp(0))
        .await
        .expect("a database");
    let statements = crate::views::statements();
    let joined: Vec<_> = statements
        .iter()
        .filter(|statement| statement.contains("FROM entity_key CROSS JOIN entity\n"))
        .collect();
    assert!(!joined.is_empty());
    for statement in joined {
        for step in plan(&database, statement).await {
            let on_entity = step.starts_with("SEARCH entity ") || step == "SCAN entity";
            assert!(
                !on_entity || step.contains("entity_id=?"),
                "{step} of {statement}"
            );
        }
    }
}
