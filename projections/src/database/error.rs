//! Which failures of the database pass by themselves, so that trying again helps.

/// PostgreSQL's classes of errors that pass: connections (08), transactions that met others (40), too few resources
/// (53), somebody holds a lock (55), the server stops or starts (57), its machine (58), not ready to be asked (25).
const PASSING_CLASSES: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

/// SQLite's primary codes that trying again doesn't mend: a wrong statement, a broken constraint, too big, a wrong type,
/// a parameter too many.
const SQLITE_FOR_GOOD: [i64; 5] = [1, 18, 19, 20, 25];

/// Whether trying again may help: the server was away, or others were in the way.
pub(crate) fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
            {
                PASSING_CLASSES.iter().any(|class| code.starts_with(class))
            } else {
                // The primary code is the lowest byte.
                let primary = code.parse::<i64>().map(|code| code & 0xff);
                primary.map_or(true, |code| !SQLITE_FOR_GOOD.contains(&code))
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}
