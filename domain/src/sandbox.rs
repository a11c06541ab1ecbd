//! The sandbox's seam: where the Lua of uploaded schemas runs. It is code of strangers, so no room calls it; they ask, and what is
//! answered is a value ([`crate::schema::Judgements`]). The one implementation is `commands::sandbox::ProcessSandbox`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::GroupId;
use crate::gateway::CommandError;
use crate::group::GroupError;
use crate::schema::evaluation::{Job, Outcome, shortened};
use crate::schema::{Judgements, PluginDefinition, Question, UnusableSchema};

/// How often a decision is tried with more answers: each try meets functions behind those that the tries before it asked.
const TRIES: usize = 16;
/// The most bytes of one value that a function is asked about. No entity is larger.
const LARGEST_VALUE: usize = crate::group::decide::ENTITY_LIMIT;
/// The deepest nesting of such a value.
const DEEPEST_VALUE: usize = 64;
/// The most bytes of values in one job, and the most questions.
const LARGEST_JOB: usize = 2 * LARGEST_VALUE;
const MOST_QUESTIONS: usize = 100;

/// Nothing could be evaluated for the moment; try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("uploaded schemas can't be evaluated for the moment: {0}")]
pub struct SandboxUnavailable(pub String);

/// What came of a job, or why it was stopped: it took too much of something, or its process ended. That is the job's own fault.
pub type Evaluated = Result<Outcome, String>;

/// Runs the Lua of uploaded schemas apart from everything else.
#[async_trait]
pub trait Sandbox: Send + Sync + 'static {
    /// Evaluates a caller's jobs; answers for each, in order. What one caller's code does, no other caller feels.
    async fn evaluate(&self, caller: GroupId, jobs: Vec<Job>) -> Result<Vec<Evaluated>, SandboxUnavailable>;
}

/// Why a text didn't become a plugin's schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// It isn't one.
    #[error(transparent)]
    Unusable(#[from] UnusableSchema),
    /// Nobody could look for the moment.
    #[error(transparent)]
    Unavailable(#[from] SandboxUnavailable),
}

/// Reads the text of a `schema.lua`.
pub async fn read_plugin_schema(
    sandbox: &dyn Sandbox,
    caller: GroupId,
    source: &str,
) -> Result<PluginDefinition, UploadError> {
    PluginDefinition::check_length(source)?;
    let job = Job::Describe {
        source: source.into(),
    };
    let evaluated = sandbox.evaluate(caller, vec![job]).await?.pop();
    let document = match evaluated {
        Some(Ok(Outcome::Described(described))) => {
            described.map_err(|why| UnusableSchema::new(shortened(why)))?
        }
        Some(Err(stopped)) => return Err(UnusableSchema::new(shortened(stopped)).into()),
        Some(Ok(Outcome::Judged(_))) | None => return Err(UnusableSchema::new(no_answer()).into()),
    };
    Ok(PluginDefinition::checked(source, document)?)
}

/// Tries something again and again, each time with what functions of uploaded schemas have said about the values that the tries before
/// it met. Every try must come to the same values.
pub async fn with_judgements<T, Attempt>(
    sandbox: &dyn Sandbox,
    caller: GroupId,
    mut attempt: impl FnMut(Judgements) -> Attempt + Send,
) -> Result<T, CommandError>
where
    Attempt: Future<Output = Result<T, CommandError>> + Send,
{
    let mut known = Judgements::default();
    for _ in 0..TRIES {
        match attempt(known.clone()).await {
            Err(CommandError::Group(GroupError::Unjudged(questions))) => {
                ask(sandbox, caller, questions, &mut known)
                    .await
                    .map_err(|error| CommandError::Unavailable(error.to_string()))?;
            }
            decided => return decided,
        }
    }
    Err(CommandError::Unavailable(format!(
        "after {TRIES} tries, functions of an uploaded schema have still other values to judge: \
         the schema must not judge what changes with every try"
    )))
}

/// Asks the functions, each question once.
async fn ask(
    sandbox: &dyn Sandbox,
    caller: GroupId,
    questions: Vec<Question>,
    known: &mut Judgements,
) -> Result<(), SandboxUnavailable> {
    let mut batches: Vec<Vec<Question>> = Vec::new();
    let mut room = 0;
    for question in questions {
        let size = question.value.to_string().len();
        if known.of(&question).is_some() {
            continue;
        }
        if size > LARGEST_VALUE || depth(&question.value) > DEEPEST_VALUE {
            let why =
                format!("is larger than {LARGEST_VALUE} bytes or nested deeper than {DEEPEST_VALUE} levels");
            known.note(&question, Err(why));
            continue;
        }
        // Equal questions of one decision are asked once.
        known.note(&question, Err(no_answer()));
        match batches.last_mut() {
            Some(batch)
                if size <= room && batch.len() < MOST_QUESTIONS && batch[0].source == question.source =>
            {
                room -= size;
                batch.push(question);
            }
            _ => {
                room = LARGEST_JOB.saturating_sub(size);
                batches.push(vec![question]);
            }
        }
    }
    let jobs = batches.iter().map(|batch| job(batch)).collect();
    let evaluated = sandbox.evaluate(caller, jobs).await?;
    for (batch, evaluated) in batches.iter().zip(evaluated) {
        note(batch, evaluated, known);
    }
    Ok(())
}

fn job(batch: &[Question]) -> Job {
    let question = |question: &Question| (Arc::clone(&question.place), question.value.clone());
    Job::Judge {
        source: batch
            .first()
            .map_or_else(|| Arc::from(""), |first| Arc::clone(&first.source)),
        questions: batch.iter().map(question).collect(),
    }
}

fn note(batch: &[Question], evaluated: Evaluated, known: &mut Judgements) {
    match evaluated {
        Ok(Outcome::Judged(verdicts)) if verdicts.len() == batch.len() => {
            for (question, verdict) in batch.iter().zip(verdicts) {
                known.note(question, verdict.map_err(shortened));
            }
        }
        Ok(_) => {}
        Err(stopped) => {
            for question in batch {
                let why = format!("the plugin's schema failed: {stopped}");
                known.note(question, Err(shortened(why)));
            }
        }
    }
}

fn no_answer() -> String {
    "the plugin's schema failed: its evaluation gave no answer".to_owned()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
