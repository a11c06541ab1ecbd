//! What an instance of Kong 3.1 is answered and sent, without a socket or a clock.

use super::super::protobuf::{Fields, Writer};
use super::*;

const NOW: Timestamp = Timestamp(1_795_277_548_000);

fn configuration(name: &str) -> Configuration {
    let hashes = ["config", "routes", "services", "plugins", "upstreams", "targets"];
    Configuration {
        config: format!("gzip of {name}").into(),
        hashes: hashes.map(|part| format!("{part} of {name}")),
    }
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

/// A session whose instance has introduced itself.
fn introduced() -> Session {
    let mut session = Session::new(NOW);
    session.frame(&negotiation("config", "v1"), NOW);
    session.frame(&metadata(), NOW);
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
fn an_instance_is_sent_a_configuration_once_it_has_introduced_itself_and_not_before() {
    let mut session = Session::new(NOW);
    assert!(session.available(&configuration("first"), NOW).is_empty());
    let outputs = session.frame(&negotiation("config", "v1"), NOW);
    assert_eq!(outputs.len(), 1, "the negotiation is answered, nothing else");
    let outputs = session.frame(&metadata(), NOW);
    let expected = Output::Arrived {
        version: "3.1.1".to_owned(),
        hostname: "edge-1".to_owned(),
        plugins: vec![
            ("key-auth".to_owned(), Some("3.1.1".to_owned())),
            ("own".to_owned(), None),
        ],
    };
    assert!(outputs.contains(&expected));
    let messages = sent(&outputs);
    let [heard, config] = &messages[..] else {
        panic!("an answer and a configuration are sent, not {messages:?}");
    };
    let Content::Rpc(heard) = Envelope::decode(heard).unwrap().content else {
        panic!("what it has is confirmed");
    };
    assert_eq!(field(heard, 1), b"ok");
    let envelope = Envelope::decode(config).unwrap();
    assert_eq!(
        (envelope.service, envelope.rpc, envelope.ack),
        (CONFIG, SYNC_CONFIG, 0)
    );
    let Content::Rpc(config) = envelope.content else {
        panic!("a configuration is a call");
    };
    assert_eq!(field(config, 1), b"gzip of first");
    assert_eq!(field(config, 3), b"config of first");
    assert_eq!(field(&field(config, 4), 6), b"targets of first");
}

#[test]
fn requests_have_a_deadline_and_answers_have_none_and_every_message_a_number_of_its_own() {
    let mut session = Session::new(NOW);
    let mut messages = sent(&session.frame(&negotiation("config", "v1"), NOW));
    messages.extend(sent(&session.frame(&metadata(), NOW)));
    messages.extend(sent(&session.frame(&ping(""), NOW)));
    messages.extend(sent(&session.available(&configuration("first"), NOW)));
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
    let mut session = Session::new(NOW);
    let messages = sent(&session.frame(&negotiation("config", "v1"), NOW));
    let Content::Rpc(answer) = Envelope::decode(&messages[0]).unwrap().content else {
        panic!("a negotiation is answered");
    };
    assert!(field(answer, 2).is_empty(), "nothing is said of this node");
    assert_eq!(field(&field(answer, 3), 1), b"config");
    assert_eq!(field(&field(answer, 3), 2), b"v1");
    assert!(closes(
        &Session::new(NOW).frame(&negotiation("config", "v2"), NOW)
    ));
    assert!(closes(
        &Session::new(NOW).frame(&negotiation("telemetry", "v1"), NOW)
    ));
}

#[test]
fn versions_rise_within_a_connection_and_over_reconnections() {
    let mut session = introduced();
    let mut versions = Vec::new();
    for name in ["first", "second", "third"] {
        let messages = sent(&session.available(&configuration(name), NOW));
        let Content::Rpc(config) = Envelope::decode(&messages[0]).unwrap().content else {
            panic!("a configuration is a call");
        };
        versions.push(version(config));
    }
    let later = Timestamp(NOW.0 + 5_000);
    let messages = sent(&introduced().available(&configuration("third"), later));
    let Content::Rpc(config) = Envelope::decode(&messages[0]).unwrap().content else {
        panic!("a configuration is a call");
    };
    versions.push(version(config));
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
}

#[test]
fn connections_share_a_configurations_bytes() {
    let configuration = configuration("large");
    for mut session in [introduced(), introduced()] {
        let outputs = session.available(&configuration, NOW);
        let [Output::Send(frame)] = &outputs[..] else {
            panic!("a configuration is sent, not {outputs:?}");
        };
        assert_eq!(frame.body.as_ptr(), configuration.config.as_ptr());
    }
}

#[test]
fn the_same_configuration_is_not_sent_twice() {
    let mut session = introduced();
    assert_eq!(session.available(&configuration("first"), NOW).len(), 1);
    assert!(session.available(&configuration("first"), NOW).is_empty());
    assert_eq!(session.available(&configuration("second"), NOW).len(), 1);
}

#[test]
fn a_configuration_longer_than_an_instance_takes_is_reported_and_not_sent() {
    let long = Configuration {
        config: vec![0; PAYLOAD_LIMIT].into(),
        ..configuration("long")
    };
    let mut session = introduced();
    let outputs = session.available(&long, NOW);
    assert!(matches!(&outputs[..], [Output::Error(_)]));
    assert!(session.available(&long, NOW).is_empty(), "once is enough");
}

#[test]
fn that_a_configuration_was_accepted_does_not_say_that_it_runs_but_a_ping_does() {
    let mut session = introduced();
    session.available(&configuration("first"), NOW);
    let accepted = Call {
        service: CONFIG,
        rpc: SYNC_CONFIG,
        sequence: 4,
        ack: 3,
        deadline: 0,
    };
    let accepted = accepted.enclose(&Writer::default().number(1, 1).finish(), Bytes::new());
    assert!(session.frame(&accepted.joined(), NOW).is_empty());
    let outputs = session.frame(&ping("config of first"), NOW);
    let hash = "config of first".to_owned();
    assert!(matches!(&outputs[..], [Output::Send(_), said] if *said == Output::Ping { hash }));
}

#[test]
fn a_call_that_is_not_known_here_is_answered_with_an_error() {
    for (service, rpc) in [(9, 1), (CONFIG, 9), (NEGOTIATION, 2)] {
        let outputs = introduced().frame(&request(service, rpc, 7, &[]), NOW);
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
    let outputs = introduced().frame(&error, NOW);
    assert!(matches!(&outputs[..], [Output::Error(reason)] if reason.contains("no space")));
}

#[test]
fn silence_ends_a_session_and_pings_keep_it() {
    assert!(closes(&Session::new(NOW).tick(NOW.plus_seconds(HELLO_SECONDS))));
    let mut session = introduced();
    session.frame(&ping(""), NOW.plus_seconds(60));
    assert!(session.tick(NOW.plus_seconds(SILENCE_SECONDS)).is_empty());
    assert!(closes(&session.tick(NOW.plus_seconds(60 + SILENCE_SECONDS))));
}

#[test]
fn what_is_no_message_ends_the_session() {
    for bytes in [&b""[..], b"\xff", b"{}", &[0x12, 0x7f], &[0; 300 * 1024]] {
        assert!(closes(&introduced().frame(bytes, NOW)));
    }
    let long = "x".repeat(200);
    assert!(closes(&introduced().frame(&ping(&long), NOW)));
}
