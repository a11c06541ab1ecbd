//! A function of an uploaded schema: a custom validator or entity check. What it says is a judge's to know.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::judgement::{Judge, Question};

/// What marks a function's place where the catalogue's files name a rule.
const MARK: &str = "lua:";

/// A function, by its place in the table that the schema's text returns.
#[derive(Clone)]
pub(in crate::schema) struct LuaFunction {
    source: Arc<str>,
    /// Names and positions from the table down, each after a slash.
    place: Arc<str>,
}

impl fmt::Debug for LuaFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place)
    }
}

/// The id that stands in a definition for the function at a place.
pub(super) fn id_at(place: &str) -> String {
    format!("{MARK}{place}")
}

impl LuaFunction {
    /// The function that an id stands for, if it stands for one.
    pub(in crate::schema) fn of(id: &str, source: &Arc<str>) -> Option<Self> {
        let place = id.strip_prefix(MARK)?;
        Some(Self {
            source: Arc::clone(source),
            place: place.into(),
        })
    }

    /// What the function says about a value.
    pub(in crate::schema) fn check(&self, value: Value, judge: &mut dyn Judge) -> Result<(), String> {
        judge.judge(Question {
            source: Arc::clone(&self.source),
            place: Arc::clone(&self.place),
            value,
        })
    }

    /// The same about a whole body.
    pub(in crate::schema) fn check_body(
        &self,
        body: &Map<String, Value>,
        judge: &mut dyn Judge,
    ) -> Result<(), String> {
        self.check(Value::Object(body.clone()), judge)
    }
}
