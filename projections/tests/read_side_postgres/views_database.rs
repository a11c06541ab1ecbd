//! The views in PostgreSQL.

use domain::Secret;
use projections::Location;

use crate::postgres_server::PostgresServer;

/// An empty database for one test.
pub(crate) struct ViewsDatabase {
    url: String,
}

impl ViewsDatabase {
    pub(crate) async fn fresh() -> Self {
        let url = PostgresServer::shared().fresh_database().await;
        Self { url }
    }

    pub(crate) fn location(&self) -> Location {
        Location::Postgres(Secret::new(self.url.clone()))
    }

    /// Everything that lies on the disk.
    pub(crate) fn bytes_at_rest(&self) -> Vec<u8> {
        let files = PostgresServer::shared().files();
        files.into_iter().flat_map(|(_, bytes)| bytes).collect()
    }
}
