//! What an instance of Kong 3.10 is answered and told, without a socket or a clock.

use domain::group::Group;
use domain::{Digest, GroupId, Kind, Version};
use uuid::Uuid;

use super::super::deltas::{NoDeltas, Projection};
use super::super::hello::tests::hello;
use super::super::version::Lineage;
use super::super::{SYNC, json_rpc};
use super::*;

const NOW: Timestamp = Timestamp(1_795_277_548_000);
const NOTHING: &str = "00000000000000000000000000000000";

fn version(number: Version) -> SyncVersion {
    let lineage = Lineage::of(Uuid::from_u128(1), GroupId(Uuid::from_u128(2)), "3.10");
    lineage.at(number, Digest([number as u8; 32]))
}

struct NoEntities;

impl Projection for NoEntities {
    fn written(&self, _: &Group, _: &domain::group::Entity) -> Result<Option<String>, NoDeltas> {
        Ok(None)
    }

    fn affected(&self, _: &Group, _: Kind, _: domain::EntityId) -> Vec<(Kind, domain::EntityId)> {
        Vec::new()
    }

    fn aged(&self, _: &Group, _: Timestamp) -> Vec<(Kind, domain::EntityId)> {
        Vec::new()
    }

    fn knows(&self, _: Kind) -> bool {
        true
    }

    fn preamble(&self) -> Vec<(&'static str, String)> {
        vec![("parameters", r#"[{"key":"cluster_id","value":"1"}]"#.to_owned())]
    }
}

fn whole(number: Version) -> EncodedDeltas {
    EncodedDeltas::whole(&Group::default(), version(number), &NoEntities).unwrap()
}

fn step(number: Version) -> EncodedDeltas {
    let step = EncodedDeltas::step(&Group::default(), None, &[], version(number), &NoEntities);
    step.unwrap().unwrap()
}

/// A session whose instance gets its configuration here.
fn admitted() -> Session {
    let mut session = Session::new(NOW);
    session.frame(&hello("3.10.0", json!([SYNC])), NOW);
    session.admitted(Some(version(5)), 16 << 20);
    session
}

fn say(session: &mut Session, text: &str) -> Vec<Output> {
    session.frame(&snappy::own_message(text).joined(), NOW)
}

fn ask(session: &mut Session, id: u64, has: &str) -> Vec<Output> {
    say(
        session,
        &json_rpc::request(id, GET_DELTA, json!({"default": {"version": has}})),
    )
}

fn notification(method: &str, param: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": [param]}).to_string()
}

fn refuse(session: &mut Session, version: &str) -> Vec<Output> {
    let error =
        json!({"code": 21, "message": "sync deltas are invalid", "flattened_errors": [{"entity_name": "a"}]});
    let param = json!({"version": version, "error": error});
    say(session, &notification(NOTIFY_VALIDATION_ERROR, &param))
}

fn wanted(outputs: &[Output]) -> Wanted {
    match outputs {
        [Output::Runs(_), Output::Wanted(wanted)] => wanted.clone(),
        other => panic!("deltas should be wanted, not {other:?}"),
    }
}

/// What an instance reads.
fn read(frame: &Frame) -> Value {
    let text = snappy::decompress(&frame.joined()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn sent(outputs: &[Output]) -> Vec<Value> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send(frame) => Some(read(frame)),
        _ => None,
    });
    frames.collect()
}

/// Lets an instance ask and be answered; answers what it is sent.
fn fetch(session: &mut Session, has: &str, deltas: &EncodedDeltas) -> Vec<Value> {
    let wanted = wanted(&ask(session, 0, has));
    sent(&session.answered(&wanted, Deltas::Encoded(deltas)))
}

fn closes(outputs: &[Output]) -> bool {
    matches!(outputs, [Output::Close(_)])
}

#[test]
fn an_instance_says_hello_and_hears_whether_its_configuration_travels_here() {
    let offer = Some(version(5));
    let capable = json!([SYNC]);
    for (capabilities, sync, expected) in [
        (&capable, offer, json!([SYNC])),
        (&capable, None, json!([])),
        (&json!([]), offer, json!([])),
    ] {
        let mut session = Session::new(NOW);
        let outputs = session.frame(&hello("3.10.0", capabilities.clone()), NOW);
        assert!(matches!(&outputs[..], [Output::Arrived(hello)] if hello.hostname == "edge-1"));
        let outputs = session.admitted(sync, 16 << 20);
        let [Output::Send(frame)] = &outputs[..] else {
            panic!("the hello is answered, not {outputs:?}");
        };
        let answer: Value = serde_json::from_slice(&frame.joined()).unwrap();
        assert_eq!(
            answer["result"]["rpc_capabilities"], expected,
            "plain, not compressed"
        );
        assert_eq!(answer["id"], 1);
    }
}

#[test]
fn an_instance_that_gets_its_configuration_elsewhere_is_told_nothing_here() {
    let mut session = Session::new(NOW);
    session.frame(&hello("3.9.1", json!([])), NOW);
    session.admitted(None, 16 << 20);
    assert!(session.available(version(6)).is_empty());
    let answers = sent(&ask(&mut session, 0, NOTHING));
    assert_eq!(answers[0]["error"]["code"], json_rpc::METHOD_NOT_FOUND);
}

#[test]
fn an_instance_that_asks_is_answered_under_its_id_even_if_that_is_zero() {
    let mut session = admitted();
    let outputs = ask(&mut session, 0, NOTHING);
    assert_eq!(outputs[0], Output::Runs(NOTHING.to_owned()));
    let wanted = wanted(&outputs);
    assert_eq!((wanted.has.as_str(), wanted.whole), (NOTHING, false));
    let answers = sent(&session.answered(&wanted, Deltas::Encoded(&whole(5))));
    let [answer] = &answers[..] else {
        panic!("one answer, not {answers:?}");
    };
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(0)));
    let result = &answer["result"]["default"];
    assert_eq!(result["full_sync"], true);
    assert_eq!(result["latest_version"], version(5).to_string());
    assert_eq!(result["deltas"][0]["version"], version(5).to_string());
}

#[test]
fn deltas_are_shared_by_connections_and_ids() {
    let deltas = whole(5);
    let pointers = [0, 70_000].map(|id| {
        let mut session = admitted();
        let wanted = wanted(&ask(&mut session, id, NOTHING));
        match &session.answered(&wanted, Deltas::Encoded(&deltas))[..] {
            [Output::Send(frame)] => {
                assert_eq!(read(frame)["id"], id);
                frame.body.as_ptr()
            }
            other => panic!("one answer, not {other:?}"),
        }
    });
    assert_eq!(pointers[0], pointers[1]);
}

#[test]
fn a_notification_is_taken_note_of_and_not_answered() {
    let mut session = admitted();
    let param = json!({"default": {"version": version(5).to_string()}});
    let outputs = say(&mut session, &notification(GET_DELTA, &param));
    assert_eq!(outputs, [Output::Runs(version(5).to_string())]);
    assert!(say(&mut session, &notification("kong.other.v1.thing", &param)).is_empty());
}

#[test]
fn an_instance_is_told_of_a_newer_version_once_until_it_asks() {
    let mut session = admitted();
    fetch(&mut session, NOTHING, &whole(5));
    let told = sent(&session.available(version(6)));
    assert_eq!(told[0]["method"], NOTIFY_NEW_VERSION);
    assert_eq!(
        told[0]["params"],
        json!([{"default": {"new_version": version(6).to_string()}}])
    );
    assert!(
        session.available(version(7)).is_empty(),
        "it will ask, and get the newest"
    );
    fetch(&mut session, &version(5).to_string(), &step(7));
    let told_again = sent(&session.available(version(8)));
    assert_ne!(told[0]["id"], told_again[0]["id"]);
    assert!(say(&mut session, r#"{"jsonrpc":"2.0","id":2,"result":true}"#).is_empty());
}

#[test]
fn an_instance_that_was_led_only_on_the_way_is_told_of_the_rest() {
    let mut session = admitted();
    let wanted = wanted(&ask(&mut session, 0, NOTHING));
    session.available(version(6));
    let outputs = session.answered(&wanted, Deltas::Encoded(&whole(4)));
    assert_eq!(
        sent(&outputs).len(),
        1,
        "the notification was sent when version 6 came"
    );
    let mut session = admitted();
    let messages = fetch(&mut session, NOTHING, &whole(4));
    assert_eq!(
        messages[1]["params"][0]["default"]["new_version"],
        version(5).to_string()
    );
}

#[test]
fn an_instance_that_is_sent_nothing_for_the_moment_keeps_what_it_has() {
    let mut session = admitted();
    let wanted = wanted(&ask(&mut session, 3, NOTHING));
    let answers = sent(&session.answered(&wanted, Deltas::Withheld));
    assert_eq!(
        answers[0]["result"],
        json!({"default": {"deltas": [], "full_sync": false}})
    );
}

#[test]
fn deltas_larger_than_an_instance_takes_are_reported_and_not_sent() {
    let mut session = Session::new(NOW);
    session.frame(&hello("3.10.0", json!([SYNC])), NOW);
    session.admitted(Some(version(5)), 100);
    let wanted = wanted(&ask(&mut session, 0, NOTHING));
    let outputs = session.answered(&wanted, Deltas::Encoded(&whole(5)));
    assert!(
        matches!(&outputs[..], [Output::Send(_), Output::TooLarge(reason)] if reason.contains("cluster_max_payload"))
    );
    assert_eq!(sent(&outputs)[0]["result"]["default"]["deltas"], json!([]));
}

#[test]
fn a_refused_step_is_followed_by_everything_and_that_by_nothing_until_there_is_a_newer_version() {
    let mut session = admitted();
    fetch(&mut session, NOTHING, &whole(4));
    let has = version(4).to_string();
    fetch(&mut session, &has, &step(5));
    let outputs = refuse(&mut session, &version(5).to_string());
    let [
        Output::Refused {
            version: refused,
            reason,
        },
    ] = &outputs[..]
    else {
        panic!("a refusal is reported, not {outputs:?}");
    };
    assert_eq!(*refused, version(5).to_string());
    assert!(reason.contains("entity_name"), "in its words: {reason}");

    let again = wanted(&ask(&mut session, 1, &has));
    assert!(again.whole);
    session.answered(&again, Deltas::Encoded(&whole(5)));
    refuse(&mut session, &version(5).to_string());
    let answers = fetch(&mut session, &has, &whole(5));
    assert_eq!(answers[0]["result"]["default"]["deltas"], json!([]));

    let told = sent(&session.available(version(6)));
    assert_eq!(told[0]["method"], NOTIFY_NEW_VERSION);
    let answers = fetch(&mut session, &has, &step(6));
    assert_ne!(answers[0]["result"]["default"]["deltas"], json!([]));
    ask(&mut session, 2, &version(6).to_string());
    assert!(!wanted(&ask(&mut session, 3, &has)).whole, "it mended itself");
}

#[test]
fn a_refusal_without_a_version_is_of_what_was_sent_last() {
    let mut session = admitted();
    fetch(&mut session, NOTHING, &whole(5));
    let outputs = refuse(&mut session, "v02_deltas_have_no_latest_version_field");
    assert!(
        matches!(&outputs[..], [Output::Refused { version: refused, .. }] if *refused == version(5).to_string())
    );
}

#[test]
fn a_batch_is_answered_in_one_message() {
    let mut session = admitted();
    let param = json!({"default": {"version": NOTHING}});
    let batch = format!(
        "[{},{},{},7]",
        json_rpc::request(0, GET_DELTA, param.clone()),
        json_rpc::request(1, "kong.other.v1.thing", param.clone()),
        notification(GET_DELTA, &param),
    );
    let outputs = say(&mut session, &batch);
    let Some(Output::Wanted(wanted)) = outputs.last() else {
        panic!("deltas should be wanted, not {outputs:?}");
    };
    let answers = sent(&session.answered(wanted, Deltas::Encoded(&whole(5))));
    let answers = answers[0].as_array().unwrap();
    assert_eq!(answers.len(), 3, "a notification has no answer");
    assert_eq!(answers[0]["result"]["default"]["full_sync"], true);
    assert_eq!(answers[1]["error"]["code"], json_rpc::METHOD_NOT_FOUND);
    assert_eq!(answers[2]["error"]["code"], json_rpc::INVALID_REQUEST);
}

#[test]
fn what_is_no_call_is_answered_with_an_error() {
    for (text, code) in [
        ("{", json_rpc::PARSE_ERROR),
        ("[]", json_rpc::INVALID_REQUEST),
        (
            &json_rpc::request(1, GET_DELTA, json!({})),
            json_rpc::INVALID_PARAMS,
        ),
        (
            &json_rpc::request(1, GET_DELTA, json!({"default": {"version": 7}})),
            json_rpc::INVALID_PARAMS,
        ),
    ] {
        let answers = sent(&say(&mut admitted(), text));
        assert_eq!(answers[0]["error"]["code"], code, "{text}");
    }
    let answers = sent(&admitted().frame(b"{\"jsonrpc\":\"2.0\"}", NOW));
    assert_eq!(
        answers[0]["error"]["code"],
        json_rpc::PARSE_ERROR,
        "it isn't compressed"
    );
}

#[test]
fn a_session_without_hello_or_with_a_second_one_too_early_ends() {
    assert!(closes(&Session::new(NOW).tick(NOW.plus_seconds(HELLO_SECONDS))));
    assert!(closes(&Session::new(NOW).frame(b"{}", NOW)));
    let mut session = Session::new(NOW);
    session.frame(&hello("3.10.0", json!([])), NOW);
    assert!(closes(&session.frame(&hello("3.10.0", json!([])), NOW)));
}

#[test]
fn silence_is_asked_about_and_then_ends_a_session() {
    let mut session = admitted();
    assert!(session.tick(NOW.plus_seconds(PING_SECONDS - 1)).is_empty());
    assert_eq!(session.tick(NOW.plus_seconds(PING_SECONDS)), [Output::Ping]);
    assert!(session.tick(NOW.plus_seconds(SILENCE_SECONDS - 1)).is_empty());
    session.heard(NOW.plus_seconds(40));
    assert!(session.tick(NOW.plus_seconds(SILENCE_SECONDS)).is_empty());
    assert_eq!(session.tick(NOW.plus_seconds(40 + PING_SECONDS)), [Output::Ping]);
    assert!(closes(&session.tick(NOW.plus_seconds(40 + SILENCE_SECONDS))));
}
