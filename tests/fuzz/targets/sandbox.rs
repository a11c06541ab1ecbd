//! Uploaded schemas and the process that evaluates them: a text with a plugin's configuration, a job as it comes in, and an answer
//! as its reader hears it.
//!
//! What one job comes to, it comes to again, and the answer fits into one frame. What an uploaded schema makes of a configuration it
//! takes again as it is.
#![no_main]

use std::sync::Arc;

use domain::schema::evaluation::{Job, Outcome, run};
use domain::schema::{
    CustomPlugins, Judgements, PluginDefinition, Question, Secrets, Write, fill_and_validate,
};
use domain::{Context, Kind, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

/// The longest answer that is read from the process, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// How many functions are asked, and how often a configuration is judged anew with what they said.
const ASKED: usize = 8;
const TRIES: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 3 {
        0 => {
            if let Ok(job) = serde_json::from_slice::<Job>(rest) {
                evaluated(&job);
            }
        }
        1 => {
            if let Ok(Outcome::Described(Ok(document))) = serde_json::from_slice(rest) {
                drop(PluginDefinition::checked("return {}", document));
            }
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(rest) {
                let (schema, configuration) = text.split_once('\0').unwrap_or((text, ""));
                uploaded(schema, serde_json::from_str(configuration).unwrap_or_default());
            }
        }
    }
});

fn evaluated(job: &Job) -> Outcome {
    let outcome = run(job);
    assert_eq!(run(job), outcome, "an outcome depends on the job alone");
    let answer = serde_json::to_vec(&outcome).expect("an outcome is JSON");
    assert!(
        answer.len() <= LONGEST_ANSWER,
        "an answer has {} bytes",
        answer.len()
    );
    let heard: Outcome = serde_json::from_slice(&answer).expect("an answer is heard");
    assert_eq!(heard, outcome, "what is heard is what was said");
    outcome
}

/// A text is described, its functions are asked, and where it is a plugin's schema, a plugin is written by it.
fn uploaded(text: &str, configuration: Map<String, Value>) {
    let source: Arc<str> = text.into();
    let described = evaluated(&Job::Describe {
        source: Arc::clone(&source),
    });
    let Outcome::Described(described) = described else {
        panic!("a description was asked for");
    };
    let Ok(document) = described else {
        return;
    };
    ask_functions(&source, &document);
    let Ok(plugin) = PluginDefinition::checked(text, document) else {
        return;
    };
    let mut plugins = CustomPlugins::default();
    plugins
        .insert(&plugin.name, text, &plugin.document)
        .expect("a schema that was checked can be used");
    let body = json!({ "name": plugin.name, "config": configuration });
    let Some(written) = written(&plugins, body) else {
        return;
    };
    let again = self::written(&plugins, written.clone());
    assert_eq!(again, Some(written), "what was written can be written again");
}

fn ask_functions(source: &Arc<str>, document: &Value) {
    let mut places = Vec::new();
    functions(document, &mut places);
    let values = [json!("a"), json!(1.5), json!({"a": [null, true]})];
    let questions = places
        .into_iter()
        .take(ASKED)
        .flat_map(|place| values.clone().map(|value| (Arc::clone(&place), value)))
        .collect();
    evaluated(&Job::Judge {
        source: Arc::clone(source),
        questions,
    });
}

fn functions(document: &Value, places: &mut Vec<Arc<str>>) {
    match document {
        Value::String(text) => places.extend(text.strip_prefix("lua:").map(Arc::from)),
        Value::Array(items) => items.iter().for_each(|item| functions(item, places)),
        Value::Object(members) => members.values().for_each(|member| functions(member, places)),
        _ => {}
    }
}

/// A plugin as it would be stored; none where it is refused, or where its functions are asked again and again.
fn written(plugins: &CustomPlugins, body: Value) -> Option<Value> {
    let mut known = Judgements::default();
    for _ in 0..TRIES {
        let mut context = Context::new(Timestamp(1_767_225_600_000), [7; 32]).knowing(known.clone());
        let outcome = fill_and_validate(
            Kind::named("plugins")?,
            plugins,
            Write::Insert,
            body.as_object()?.clone(),
            Secrets::Plain,
            &mut context,
        );
        let questions = context.open_questions();
        if questions.is_empty() {
            return outcome.ok().map(Value::Object);
        }
        for question in questions.iter().take(ASKED) {
            known.note(question, verdict(question));
        }
    }
    None
}

fn verdict(question: &Question) -> Result<(), String> {
    let job = Job::Judge {
        source: Arc::clone(&question.source),
        questions: vec![(Arc::clone(&question.place), question.value.clone())],
    };
    let Outcome::Judged(mut verdicts) = evaluated(&job) else {
        panic!("a verdict was asked for");
    };
    verdicts.pop().expect("one question has one verdict")
}
