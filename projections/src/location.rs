//! Where the views are kept.

use domain::Secret;

/// Where the views are kept. Never shows the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The path of a SQLite file, for one process.
    Sqlite(String),
    /// `postgres://user:password@host/database`, for any number of processes.
    Postgres(Secret),
}
