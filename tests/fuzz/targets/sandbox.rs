//! Uploaded schemas and the process that evaluates them: a text, a job as it comes in, and an answer as its reader hears it.
#![no_main]

use std::sync::Arc;

use domain::schema::PluginDefinition;
use domain::schema::evaluation::{Job, Outcome, run};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 4 {
        0 => {
            if let Ok(job) = serde_json::from_slice::<Job>(rest) {
                drop(run(&job));
            }
        }
        1 => {
            if let Ok(Outcome::Described(Ok(document))) = serde_json::from_slice(rest) {
                drop(PluginDefinition::checked("return {}", document));
            }
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(rest) {
                uploaded(text);
            }
        }
    }
});

/// A text is described, and where it is a schema its functions are asked.
fn uploaded(text: &str) {
    let source: Arc<str> = text.into();
    let Outcome::Described(described) = run(&Job::Describe {
        source: Arc::clone(&source),
    }) else {
        panic!("a description was asked for");
    };
    let Ok(document) = described else {
        return;
    };
    let mut places = Vec::new();
    functions(&document, &mut places);
    drop(PluginDefinition::checked(text, document));
    let values = [json!("a"), json!(1.5), json!({"a": [null, true]})];
    let questions = places
        .into_iter()
        .take(4)
        .flat_map(|place| values.clone().map(|value| (Arc::clone(&place), value)))
        .collect();
    drop(run(&Job::Judge { source, questions }));
}

fn functions(document: &Value, places: &mut Vec<Arc<str>>) {
    match document {
        Value::String(text) => places.extend(text.strip_prefix("lua:").map(Arc::from)),
        Value::Array(items) => items.iter().for_each(|item| functions(item, places)),
        Value::Object(members) => members.values().for_each(|member| functions(member, places)),
        _ => {}
    }
}
