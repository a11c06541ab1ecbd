//! Running the Lua of uploaded schemas. It is code of strangers behind a C library, so [`run`] is called in a process that holds
//! nothing ([`crate::sandbox`]) and nowhere else; what it answers is data that the caller checks again.
//!
//! - [`interpreter`]: where Lua runs, [`library`] and [`lua_pattern`]: the functions it has in place of its own, with limits;
//!   [`work`]: how much of everything one evaluation may take.
//! - [`table`]: what a schema's text returns, as a document; [`call`]: one of its functions, asked about a value.

mod call;
mod interpreter;
mod library;
mod lua_pattern;
mod table;
mod work;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest reason that a function may give, in bytes.
pub(crate) const LONGEST_REASON: usize = 1024;

/// What is to be evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// The text of a schema, as a document.
    Describe {
        /// The text.
        source: Arc<str>,
    },
    /// What functions of a schema say, each with an interpreter of its own.
    Judge {
        /// The schema's text.
        source: Arc<str>,
        /// The functions' places, and the values.
        questions: Vec<(Arc<str>, Value)>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The document, or why there is none.
    Described(Result<Value, String>),
    /// One verdict for each question, in order.
    Judged(Vec<Result<(), String>>),
}

/// Evaluates; for the sandbox's process and for tests of the language, nowhere else. An outcome depends on the job alone.
pub fn run(job: &Job) -> Outcome {
    match job {
        Job::Describe { source } => Outcome::Described(describe(source).map_err(shortened)),
        Job::Judge { source, questions } => {
            let verdict =
                |(place, value): &(Arc<str>, Value)| call::function(source, place, value).map_err(shortened);
            Outcome::Judged(questions.iter().map(verdict).collect())
        }
    }
}

fn describe(source: &str) -> Result<Value, String> {
    let read = || -> mlua::Result<Result<Value, String>> {
        let lua = interpreter::start()?;
        let table = interpreter::evaluate(&lua, source)?;
        Ok(table::document(&table))
    };
    read().map_err(|error| first_line(&error))?
}

/// A failure without its trace.
fn first_line(error: &mlua::Error) -> String {
    if let mlua::Error::MemoryError(_) = error {
        return format!("the schema takes more than {} MiB of memory", work::MEMORY >> 20);
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let prefixes = ["runtime error: ", "syntax error: "];
    let cut = prefixes.iter().find_map(|prefix| line.strip_prefix(prefix));
    cut.unwrap_or(line).to_owned()
}

/// A reason of bearable length.
pub(crate) fn shortened(mut reason: String) -> String {
    if reason.len() > LONGEST_REASON {
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        reason.push('…');
    }
    reason
}
