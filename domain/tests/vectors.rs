//! Conformance: inputs run through Kong 3.9's own validator, with what it answered (`vectors.jsonl`).

use domain::Timestamp;
use domain::schema::{
    CustomPlugins, Generator, Judge, Kind, Question, SchemaViolation, Secrets, Write, fill_and_validate,
    present, transient,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Deserialize)]
struct Vector {
    id: String,
    entity: String,
    op: String,
    input: Map<String, Value>,
    existing: Option<Map<String, Value>>,
    ok: bool,
    output: Option<Map<String, Value>>,
    fields: Option<Value>,
    message: Option<String>,
    /// The text comes from OpenSSL, PCRE, pest or Lua: only that it fails is compared.
    #[serde(default)]
    library_message: bool,
    /// Kong crashes; this engine answers with a violation.
    #[serde(default)]
    kong_answers_500: bool,
}

/// The stand-ins that Kong ran with.
struct StandIns;

impl Judge for StandIns {
    fn judge(&mut self, question: Question) -> Result<(), String> {
        panic!("no plugin here has functions of its own: {}", question.place)
    }
}

impl Generator for StandIns {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_125)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_00ff)
    }

    fn random_string(&mut self, length: usize) -> String {
        assert_eq!(length, 32);
        "RANDOMSTRINGPLACEHOLDER32CHARS00".to_owned()
    }
}

/// Where this engine is stricter or kinder than Kong's schema, whose database or DAO comes after it.
fn deviates(vector: &mut Vector) {
    match vector.id.as_str() {
        // Kong's schema keeps a null id, which its database then refuses.
        "services#41" => {
            let output = vector.output.as_mut().expect("an accepted case");
            output["id"] = Value::from("00000000-0000-4000-8000-0000000000ff");
        }
        // Kong's DAO refuses a ttl that isn't an integer after the schema let it through.
        "keyauth_credentials#7" => {
            let text = "must be an integer between 0 and 100000000";
            vector.ok = false;
            vector.fields = Some(serde_json::json!({ "ttl": text }));
            vector.message = Some(format!("schema violation (ttl: {text})"));
        }
        _ => {}
    }
}

fn run(vector: &Vector) -> Result<Map<String, Value>, SchemaViolation> {
    let kind = Kind::named(&vector.entity).expect("a kind of the catalogue");
    let write = |write, input: &Map<String, Value>| {
        fill_and_validate(
            kind,
            &CustomPlugins::default(),
            write,
            input.clone(),
            Secrets::Plain,
            &mut StandIns,
        )
    };
    let body = match vector.op.as_str() {
        "insert" => write(Write::Insert, &vector.input)?,
        "upsert" => write(Write::Upsert { existing: None }, &vector.input)?,
        "update" => {
            let existing = vector
                .existing
                .as_ref()
                .expect("an update has something to change");
            let existing = write(Write::Insert, existing)?;
            write(Write::Update { existing: &existing }, &vector.input)?
        }
        other => panic!("{}: operation {other}", vector.id),
    };
    let mut shown = present(kind, body);
    let sent = transient(kind, &vector.input);
    for field in kind.schema().fields().iter().filter(|field| field.transient) {
        shown.insert(
            field.name.to_owned(),
            sent.get(field.name).cloned().unwrap_or(Value::Null),
        );
    }
    Ok(shown)
}

fn mismatch(vector: &Vector) -> Option<String> {
    let answer = run(vector);
    let expected_failure = !vector.ok && (vector.library_message || vector.kong_answers_500);
    match answer {
        Err(_) if expected_failure => None,
        Ok(body) if vector.ok && vector.output.as_ref() == Some(&body) => None,
        Err(violation)
            if !vector.ok
                && vector.fields.as_ref() == Some(&violation.fields)
                && vector.message.as_ref() == Some(&violation.message()) =>
        {
            None
        }
        Ok(body) => Some(format!(
            "{}: accepted as {}\n  expected {}",
            vector.id,
            Value::Object(body),
            vector
                .output
                .clone()
                .map_or(vector.fields.clone(), |output| Some(output.into()))
                .unwrap_or_default(),
        )),
        Err(violation) => Some(format!(
            "{}: refused with {} | {}\n  expected {} | {}",
            vector.id,
            violation.fields,
            violation.message(),
            vector
                .output
                .clone()
                .map_or(vector.fields.clone(), |output| Some(output.into()))
                .unwrap_or_default(),
            vector.message.clone().unwrap_or_default(),
        )),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "says how many cases ran")]
fn the_engine_answers_what_kong_answered() {
    let mut ran = 0;
    let mut mismatches = Vec::new();
    for line in include_str!("vectors.jsonl").lines() {
        let mut vector: Vector = serde_json::from_str(line).expect("a vector");
        deviates(&mut vector);
        ran += 1;
        mismatches.extend(mismatch(&vector));
    }
    assert!(ran > 0, "no vectors were found");
    assert!(
        mismatches.is_empty(),
        "{} of {ran} differ:\n{}",
        mismatches.len(),
        mismatches.join("\n")
    );
    println!("{ran} vectors of Kong's own validator ran");
}
