//! What an instance of Kong 3.1 is answered and sent, without a socket or a clock.

use super::super::protobuf::{Fields, Writer};
use super::*;
use crate::kong::document::Hashes;

const NOW: Timestamp = Timestamp(1_795_277_548_000);

fn configuration(name: &str) -> Arc<document::Frame> {
    let sections = ["routes", "services", "plugins", "upstreams", "targets"];
    let bytes = Bytes::from(format!("gzip of {name}"));
    Arc::new(document::Frame {
        hashes: Hashes {
            config: format!("config of {name}").into(),
            sections: sections.map(|section| format!("{section} of {name}").into()),
        },
        payload: bytes.len(),
        json: 2 * bytes.len(),
        bytes,
    })
}

fn say(session: &mut Session, bytes: Vec<u8>, now: Timestamp) -> Vec<Output> {
    session.message(Message::Binary(bytes.into()), now)
}

/// A session whose instance takes 4 MiB, and that rests a second between two pushes.
fn opened() -> Session {
    Session::new(4 << 20, 1_000, NOW)
}

fn seconds_later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

/// A request as an instance writes it.
fn request(service: u32, rpc: u32, sequence: u32, argument: &[u8]) -> Vec<u8> {
    let call = Call {
        service,
        rpc,
        sequence,
        ack: 0,
        deadline: NOW.seconds() as u32 + 90,
    };
    call.enclose(argument, Bytes::new()).joined()
}

fn negotiation(service: &str, version: &str) -> Vec<u8> {
    let node = Writer::default()
        .bytes(2, b"KONG")
        .bytes(3, b"3.1.1")
        .bytes(4, b"edge-1");
    let offered = Writer::default()
        .bytes(1, service.as_bytes())
        .bytes(2, version.as_bytes());
    let argument = Writer::default()
        .bytes(1, &node.finish())
        .bytes(2, &offered.finish());
    request(NEGOTIATION, NEGOTIATE_SERVICES, 1, &argument.finish())
}

fn metadata() -> Vec<u8> {
    let key_auth = Writer::default().bytes(1, b"key-auth").bytes(2, b"3.1.1");
    let own = Writer::default().bytes(1, b"own");
    let argument = Writer::default()
        .bytes(1, &key_auth.finish())
        .bytes(1, &own.finish());
    request(CONFIG, REPORT_METADATA, 2, &argument.finish())
}

fn ping(hash: &str) -> Vec<u8> {
    request(
        CONFIG,
        PING_CP,
        3,
        &Writer::default().bytes(1, hash.as_bytes()).finish(),
    )
}

/// A session whose instance has introduced itself and said that it has nothing.
fn introduced() -> Session {
    let mut session = opened();
    say(&mut session, negotiation("config", "v1"), NOW);
    say(&mut session, metadata(), NOW);
    say(&mut session, ping(""), NOW);
    session
}

fn sent(outputs: &[Output]) -> Vec<Vec<u8>> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send(frame) => Some(frame.joined()),
        _ => None,
    });
    frames.collect()
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    let mut fields = Fields::of(message).map(Result::unwrap);
    let (_, value) = fields.find(|(field, _)| *field == number).unwrap();
    value.bytes().unwrap().to_vec()
}

fn version(message: &[u8]) -> u64 {
    Fields::of(message)
        .find_map(|field| match field.unwrap() {
            (2, super::super::protobuf::Value::Number(version)) => Some(version),
            _ => None,
        })
        .unwrap()
}

fn closes(outputs: &[Output]) -> bool {
    matches!(outputs, [.., Output::Close(_)])
}

#[test]
fn an_instance_introduces_itself_in_two_calls_and_then_gets_its_configuration() {
    let mut session = opened();
    let outputs = say(&mut session, negotiation("config", "v1"), NOW);
    assert_eq!(outputs.len(), 1, "the negotiation is answered, nothing else");
    let outputs = say(&mut session, metadata(), NOW);
    let [Output::Send(heard), Output::Report(Report::Arrived(info))] = &outputs[..] else {
        panic!("it has introduced itself, not {outputs:?}");
    };
    let heard = heard.joined();
    let Content::Rpc(heard) = Envelope::decode(&heard).unwrap().content else {
        panic!("what it has is confirmed");
    };
    assert_eq!(field(heard, 1), b"ok");
    assert_eq!(info.plugins["key-auth"].as_deref(), Some("3.1.1"));
    assert_eq!(info.plugins["own"], None);

    assert!(session.offered(Some(configuration("first")), NOW).is_empty());
    let outputs = say(&mut session, ping(""), NOW);
    let messages = sent(&outputs);
    let envelope = Envelope::decode(&messages[1]).unwrap();
    assert_eq!(
        (envelope.service, envelope.rpc, envelope.ack),
        (CONFIG, SYNC_CONFIG, 0)
    );
    let Content::Rpc(config) = envelope.content else {
        panic!("a configuration is a call");
    };
    assert_eq!(field(config, 1), b"gzip of first");
    assert_eq!(field(config, 3), b"config of first");
    assert_eq!(field(&field(config, 4), 1), b"config of first");
    assert_eq!(field(&field(config, 4), 6), b"targets of first");
}

#[test]
fn requests_have_a_deadline_and_answers_have_none_and_every_message_a_number_of_its_own() {
    let mut session = opened();
    let mut messages = sent(&say(&mut session, negotiation("config", "v1"), NOW));
    messages.extend(sent(&say(&mut session, metadata(), NOW)));
    messages.extend(sent(&say(&mut session, ping(""), NOW)));
    messages.extend(sent(&session.offered(Some(configuration("first")), NOW)));
    let envelopes: Vec<_> = messages
        .iter()
        .map(|message| Envelope::decode(message).unwrap())
        .collect();
    let numbers: Vec<_> = envelopes.iter().map(|envelope| envelope.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let answered: Vec<_> = envelopes.iter().map(|envelope| envelope.ack).collect();
    assert_eq!(answered, [1, 2, 3, 0]);
    for envelope in &envelopes {
        let seconds = u32::try_from(NOW.seconds()).unwrap();
        match envelope.ack {
            0 => assert!((seconds + 60..=seconds + 90).contains(&envelope.deadline)),
            _ => assert_eq!(envelope.deadline, 0),
        }
    }
}

#[test]
fn the_service_that_hands_over_configurations_is_accepted_and_others_are_not() {
    let messages = sent(&say(&mut opened(), negotiation("config", "v1"), NOW));
    let Content::Rpc(answer) = Envelope::decode(&messages[0]).unwrap().content else {
        panic!("a negotiation is answered");
    };
    assert!(field(answer, 2).is_empty(), "nothing is said of this node");
    assert_eq!(field(&field(answer, 3), 1), b"config");
    assert_eq!(field(&field(answer, 3), 2), b"v1");
    assert!(closes(&say(&mut opened(), negotiation("config", "v2"), NOW)));
    assert!(closes(&say(&mut opened(), negotiation("telemetry", "v1"), NOW)));
}

/// The version of the configuration that is pushed.
fn pushed(outputs: &[Output]) -> u64 {
    let messages = sent(outputs);
    let Content::Rpc(config) = Envelope::decode(&messages[0]).unwrap().content else {
        panic!("a configuration is a call");
    };
    version(config)
}

#[test]
fn versions_rise_within_a_connection_and_over_reconnections() {
    let mut session = introduced();
    let mut versions = Vec::new();
    for (seconds, name) in [(0, "first"), (5, "second"), (10, "third")] {
        let outputs = session.offered(Some(configuration(name)), seconds_later(seconds));
        versions.push(pushed(&outputs));
    }
    let outputs = introduced().offered(Some(configuration("third")), seconds_later(15));
    versions.push(pushed(&outputs));
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
}

#[test]
fn connections_share_a_configurations_bytes() {
    let configuration = configuration("large");
    for mut session in [introduced(), introduced()] {
        let outputs = session.offered(Some(configuration.clone()), NOW);
        let [Output::Send(frame)] = &outputs[..] else {
            panic!("a configuration is sent, not {outputs:?}");
        };
        assert_eq!(frame.body.as_ptr(), configuration.bytes.as_ptr());
    }
}

#[test]
fn the_first_change_is_pushed_at_once_and_the_next_after_a_rest() {
    let mut session = introduced();
    assert_eq!(session.offered(Some(configuration("first")), NOW).len(), 1);
    assert!(session.offered(Some(configuration("second")), NOW).is_empty());
    assert!(session.offered(Some(configuration("third")), NOW).is_empty());
    assert_eq!(session.deadline(), seconds_later(1));
    let messages = sent(&session.tick(seconds_later(1)));
    let Content::Rpc(config) = Envelope::decode(&messages[0]).unwrap().content else {
        panic!("a configuration is a call");
    };
    assert_eq!(field(config, 3), b"config of third");
}

#[test]
fn an_instance_that_has_the_configuration_already_gets_nothing() {
    let mut session = introduced();
    say(&mut session, ping("config of first"), NOW);
    assert!(session.offered(Some(configuration("first")), NOW).is_empty());
    assert_eq!(session.runs_offer().as_deref(), Some("config of first"));
}

#[test]
fn a_configuration_longer_than_an_instance_takes_is_reported_and_not_sent() {
    let mut long = document::Frame::clone(&configuration("long"));
    long.payload = 4 << 20;
    let outputs = introduced().offered(Some(Arc::new(long)), NOW);
    assert!(matches!(&outputs[..], [Output::Report(Report::TooLarge(..))]));
}

#[test]
fn that_a_configuration_was_accepted_does_not_say_that_it_runs_but_a_ping_does() {
    let mut session = introduced();
    session.offered(Some(configuration("first")), NOW);
    let accepted = Call {
        service: CONFIG,
        rpc: SYNC_CONFIG,
        sequence: 4,
        ack: 3,
        deadline: 0,
    };
    let accepted = accepted.enclose(&Writer::default().number(1, 1).finish(), Bytes::new());
    assert!(say(&mut session, accepted.joined(), NOW).is_empty());
    assert_eq!(session.runs_offer(), None);
    let outputs = say(&mut session, ping("config of first"), seconds_later(1));
    let hash = "config of first".to_owned();
    assert!(matches!(&outputs[..], [Output::Send(_), Output::Report(Report::Pinged(said))] if *said == hash));
    assert!(session.runs_offer().is_some());
}

#[test]
fn an_instance_that_still_has_something_else_long_after_a_push_has_refused_it() {
    let mut session = introduced();
    session.offered(Some(configuration("first")), NOW);
    let outputs = say(&mut session, ping(""), seconds_later(30));
    let refused = Output::Report(Report::Refused("config of first".into()));
    assert!(outputs.contains(&refused), "{outputs:?}");
}

#[test]
fn a_call_that_is_not_known_here_is_answered_with_an_error() {
    for (service, rpc) in [(9, 1), (CONFIG, 9), (NEGOTIATION, 2)] {
        let outputs = say(&mut introduced(), request(service, rpc, 7, &[]), NOW);
        let messages = sent(&outputs);
        let envelope = Envelope::decode(&messages[0]).unwrap();
        assert_eq!(envelope.ack, 7);
        assert!(matches!(envelope.content, Content::Error(_)));
    }
}

#[test]
fn an_error_of_an_instance_is_reported() {
    let call = Call {
        service: CONFIG,
        rpc: SYNC_CONFIG,
        sequence: 4,
        ack: 3,
        deadline: 0,
    };
    let error = call.refuse(ErrorKind::Generic, "no space").joined();
    let outputs = say(&mut introduced(), error, NOW);
    assert!(
        matches!(&outputs[..], [Output::Report(Report::Failed(error))] if error["message"] == "no space")
    );
}

#[test]
fn silence_ends_a_session_and_pings_keep_it() {
    assert!(closes(&opened().tick(seconds_later(5))));
    let mut session = introduced();
    say(&mut session, ping(""), seconds_later(60));
    assert!(session.tick(seconds_later(90)).is_empty());
    assert!(closes(&session.tick(seconds_later(150))));
}

#[test]
fn what_is_no_message_ends_the_session() {
    for bytes in [&b""[..], b"\xff", b"{}", &[0x12, 0x7f], &[0; 300 * 1024]] {
        assert!(closes(&say(&mut introduced(), bytes.to_vec(), NOW)));
    }
    let long = "x".repeat(200);
    assert!(closes(&say(&mut introduced(), ping(&long), NOW)));
    assert!(say(&mut introduced(), ping("config"), NOW).len() > 1);
}
