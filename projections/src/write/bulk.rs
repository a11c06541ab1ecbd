//! One statement for many rows: a statement costs a hop to the database's thread, a row in it hardly anything.

use crate::database::{Connection, Engine, Value};

/// How many rows the statements take: few different ones, so that each stays prepared.
const ROWS: [usize; 3] = [64, 8, 1];

/// A statement around a list of tuples: `{head} ($1, $2), ($3, $4) {tail}`. One per entry of [`ROWS`] and engine.
pub(crate) struct Bulk {
    postgres: [String; 3],
    /// Its parameters are `?`: sqlx asks SQLite for the name of each, and SQLite looks each name up among all before it.
    sqlite: [String; 3],
}

impl Bulk {
    /// A statement whose tuples have so many columns.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let tuple = |row: usize, parameter: fn(usize) -> String| {
            let parameters: Vec<_> = (1..=columns)
                .map(|column| parameter(row * columns + column))
                .collect();
            format!("({})", parameters.join(", "))
        };
        let statement = |rows: usize, parameter| {
            let tuples: Vec<_> = (0..rows).map(|row| tuple(row, parameter)).collect();
            format!("{head} {} {tail}", tuples.join(", "))
        };
        Self {
            postgres: ROWS.map(|rows| statement(rows, |number| format!("${number}"))),
            sqlite: ROWS.map(|rows| statement(rows, |_| "?".to_owned())),
        }
    }

    const fn on(&self, engine: Engine) -> &[String; 3] {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// Runs the statement for all rows.
    pub(crate) async fn execute<Row, const COLUMNS: usize>(
        &'static self,
        connection: &mut Connection<'_>,
        rows: &[Row],
        values: impl Fn(&Row) -> [Value; COLUMNS],
    ) -> Result<(), sqlx::Error> {
        for (statement, rows) in self.pieces(connection.engine(), rows) {
            connection
                .execute(statement, rows.iter().flat_map(&values))
                .await?;
        }
        Ok(())
    }

    /// The statements that take all rows, each with those that it takes.
    pub(crate) fn pieces<'rows, Row>(
        &'static self,
        engine: Engine,
        mut rows: &'rows [Row],
    ) -> impl Iterator<Item = (&'static str, &'rows [Row])> {
        let statements = self.on(engine);
        std::iter::from_fn(move || {
            let mut sizes = ROWS.iter().zip(statements);
            let (size, statement) = sizes.find(|(size, _)| **size <= rows.len())?;
            let (now, later) = rows.split_at(*size);
            rows = later;
            Some((statement.as_str(), now))
        })
    }

    /// As PostgreSQL takes them; SQLite's differ in the names of parameters only.
    #[cfg(test)]
    pub(crate) fn statements(&self) -> Vec<String> {
        self.postgres.to_vec()
    }
}
