//! Tables for people or JSON for programs.

use clap::ValueEnum;
use serde_json::Value;

use super::terminal;
use crate::foreign_text::visible_value;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Output {
    /// Prints the JSON, or what `table` makes of it.
    pub fn show(self, value: &Value, table: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        match self {
            // A line break in a text would make a line of its own.
            Self::Table => terminal::print(&table(&visible_value(value)))?,
            Self::Json => terminal::print_indented(&value.to_string())?,
        }
        Ok(())
    }
}

/// A field as a cell: texts without quotes, what isn't there as `-`.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
