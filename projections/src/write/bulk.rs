//! One statement for many rows: a statement costs a hop to the database's thread, a row in it hardly anything.

use crate::database::{Connection, Value};

/// How many rows the statements take: few different ones, so that each stays prepared.
const ROWS: [usize; 3] = [64, 8, 1];

/// A statement around a list of tuples: `{head} ($1, $2), ($3, $4) {tail}`.
pub(crate) struct Bulk {
    /// One per entry of [`ROWS`].
    statements: [String; 3],
}

impl Bulk {
    /// A statement whose tuples have so many columns.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let tuple = |row: usize| {
            let numbers: Vec<_> = (1..=columns)
                .map(|column| format!("${}", row * columns + column))
                .collect();
            format!("({})", numbers.join(", "))
        };
        let statement = |rows: usize| {
            let tuples: Vec<_> = (0..rows).map(tuple).collect();
            format!("{head} {} {tail}", tuples.join(", "))
        };
        Self {
            statements: ROWS.map(statement),
        }
    }

    /// Runs the statement for all rows.
    pub(crate) async fn execute<Row, const COLUMNS: usize>(
        &'static self,
        connection: &mut Connection<'_>,
        mut rows: &[Row],
        values: impl Fn(&Row) -> [Value; COLUMNS],
    ) -> Result<(), sqlx::Error> {
        for (size, statement) in ROWS.iter().zip(&self.statements) {
            while let Some((now, later)) = rows.split_at_checked(*size) {
                connection
                    .execute(statement, now.iter().flat_map(&values))
                    .await?;
                rows = later;
                if rows.is_empty() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn statements(&self) -> Vec<String> {
        self.statements.to_vec()
    }
}
