//! An answer that tells what became of entities, which may be very many: what stands beside its `changes` is read as values, and of these
//! only what is printed is kept.

use std::fmt;

use anyhow::Context as _;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::client::Answer;
use super::difference::Difference;
use super::output::Output;
use super::terminal;
use crate::foreign_text::{visible, visible_value};

/// What an answer with `changes` says.
#[derive(Debug)]
pub struct ChangeReport {
    /// Everything else that it says.
    pub facts: Value,
    /// The changes.
    pub difference: Difference,
}

impl ChangeReport {
    /// Reads an answer.
    pub fn read(answer: &Answer) -> anyhow::Result<Self> {
        serde_json::from_str(&answer.text)
            .context("the server's answer isn't JSON: is this address Runtime Manager's?")
    }

    /// Reads an answer, and prints it as JSON or what `table` makes of it.
    pub fn show(
        answer: &Answer,
        output: Output,
        table: impl FnOnce(&Self) -> String,
    ) -> anyhow::Result<Self> {
        let report = Self::read(answer)?;
        match output {
            Output::Table => terminal::print(&table(&report))?,
            Output::Json => terminal::print_indented(&answer.text)?,
        }
        Ok(report)
    }
}

impl<'de> Deserialize<'de> for ChangeReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// The members of such an answer.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ChangeReport;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object that tells what changed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ChangeReport, A::Error> {
        let (mut facts, mut difference) = (Map::new(), Difference::default());
        while let Some(name) = members.next_key::<String>()? {
            if name == "changes" {
                difference = members.next_value()?;
            } else {
                let value: Value = members.next_value()?;
                facts.insert(visible(&name).into_owned(), visible_value(&value));
            }
        }
        Ok(ChangeReport {
            facts: Value::Object(facts),
            difference,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_the_changes_is_read_and_they_are_counted() {
        let text = r#"{"version": 3, "changes": [{"kind": "services", "id": "1", "before": null, "after": {}}], "left_out": ["\u001b"]}"#;
        let report: ChangeReport = serde_json::from_str(text).unwrap();
        assert_eq!(
            report.facts,
            serde_json::json!({"version": 3, "left_out": ["\\u{1b}"]})
        );
        assert_eq!(report.difference.summary(), "1 created, 0 updated, 0 deleted");
    }

    #[test]
    fn an_answer_without_changes_has_none() {
        let report: ChangeReport = serde_json::from_str(r#"{"version": 3}"#).unwrap();
        assert!(report.difference.is_none());
    }
}
