//! Every statement is prepared against the newest schema: a misspelt column fails here and not in front of somebody.

use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::database::Database;

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("views.db");
    let database = Database::open(&path.display().to_string())
        .await
        .expect("a database");
    let mut all = crate::write::statements();
    all.extend(crate::views::statements().into_iter().map(str::to_owned));
    all.extend(crate::observed::STATEMENTS.map(str::to_owned));
    all.extend(crate::states::STATEMENTS.map(str::to_owned));
    let mut connection = database.write().await;
    for statement in all {
        let prepared = connection
            .prepare(AssertSqlSafe(statement.clone()).into_sql_str())
            .await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
    }
}
