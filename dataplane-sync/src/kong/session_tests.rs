use serde_json::json;

use super::*;

const REST: i64 = 1_000;
const ZEROS: &str = "00000000000000000000000000000000";

fn at(millis: i64) -> Timestamp {
    Timestamp(millis)
}

fn info() -> Message {
    let info = json!({"type": "basic_info", "plugins": [{"name": "acl"}], "process_conf": {"cluster_max_payload": 5_000}});
    Message::Binary(info.to_string().into())
}

fn ping(hash: &str) -> Message {
    Message::Ping(Bytes::copy_from_slice(hash.as_bytes()))
}

fn frame(hash: &str) -> Offer {
    Offer::Frame {
        hash: hash.into(),
        payload: 1_000,
        json: 9_000,
    }
}

/// A node that arrived at 0 and has been offered a configuration, with nothing heard of it since.
fn arrived() -> Session {
    let mut session = Session::new(4 << 20, REST, at(0));
    assert!(matches!(
        session.message(info(), at(0))[..],
        [Output::Report(Report::Arrived(_))]
    ));
    assert_eq!(session.offered(frame("a"), at(0)), []);
    session
}

/// The same, pushed at 0.
fn pushed() -> Session {
    let mut session = arrived();
    assert!(session.message(ping(ZEROS), at(0)).contains(&Output::Push));
    session
}

#[test]
fn the_first_ping_decides_whether_the_configuration_is_sent() {
    assert!(arrived().message(ping(ZEROS), at(10)).contains(&Output::Push));
    assert!(
        !arrived().message(ping("a"), at(10)).contains(&Output::Push),
        "it has it"
    );
}

#[test]
fn a_node_that_does_not_ping_is_sent_the_configuration_after_a_second() {
    let mut session = arrived();
    assert_eq!(session.deadline(), at(1_000));
    assert_eq!(session.tick(at(999)), []);
    assert_eq!(session.tick(at(1_000)), [Output::Push]);
    assert_eq!(session.tick(at(1_001)), [], "once");
}

#[test]
fn any_payload_of_a_ping_is_answered_and_recorded() {
    for payload in [
        "",
        ZEROS,
        "0123456789012345678901234567890123456789",
        "v02_0000000000000000000000000000",
    ] {
        let outputs = arrived().message(ping(payload), at(5));
        assert_eq!(
            outputs[0],
            Output::Pong(Bytes::copy_from_slice(payload.as_bytes()))
        );
        assert_eq!(outputs[1], Output::Report(Report::Pinged(payload.to_owned())));
    }
}

#[test]
fn without_basic_info_within_five_seconds_it_ends() {
    let mut session = Session::new(4 << 20, REST, at(0));
    assert_eq!(session.deadline(), at(5_000));
    assert_eq!(session.tick(at(4_999)), []);
    assert!(matches!(session.tick(at(5_000))[..], [Output::Close(_)]));
    assert!(matches!(
        session.message(Message::Binary(Bytes::from_static(b"{}")), at(1))[..],
        [Output::Close(_)]
    ));
}

#[test]
fn changes_are_pushed_at_once_then_once_per_rest_and_the_last_one_always() {
    let mut session = pushed();
    assert_eq!(
        session.offered(frame("b"), at(100)),
        [],
        "too soon after the last push"
    );
    assert_eq!(session.offered(frame("c"), at(200)), []);
    assert_eq!(session.deadline(), at(1_000));
    assert_eq!(session.tick(at(1_000)), [Output::Push], "the newest, which is c");
    assert_eq!(session.offered(frame("d"), at(3_000)), [Output::Push]);
}

#[test]
fn what_was_pushed_and_taken_back_is_taken_back_there_too() {
    let mut session = arrived();
    session.message(ping("a"), at(0));
    assert_eq!(session.offered(frame("b"), at(10)), [Output::Push]);
    assert_eq!(
        session.offered(frame("a"), at(2_000)),
        [Output::Push],
        "b may be applied by now"
    );
}

#[test]
fn an_old_hash_after_the_time_to_apply_is_a_refusal_told_once_and_not_answered_by_sending_it_again() {
    let mut session = pushed();
    let early = session.message(ping(ZEROS), at(4_000));
    assert_eq!(early.len(), 2, "it may still be applying");
    let refused = session.message(ping(ZEROS), at(30_000));
    assert_eq!(refused.last(), Some(&Output::Report(Report::Refused("a".into()))));
    assert_eq!(session.message(ping(ZEROS), at(60_000)).len(), 2);
    assert_eq!(
        session.offered(frame("b"), at(61_000)),
        [Output::Push],
        "another one may do"
    );
}

#[test]
fn a_large_configuration_has_longer_to_be_applied() {
    let mut session = Session::new(4 << 20, REST, at(0));
    session.message(info(), at(0));
    let large = Offer::Frame {
        hash: "a".into(),
        payload: 1_000,
        json: 10 << 20,
    };
    session.message(ping(ZEROS), at(0));
    assert_eq!(session.offered(large, at(0)), [Output::Push]);
    assert_eq!(session.message(ping(ZEROS), at(14_000)).len(), 2);
    assert_eq!(session.message(ping(ZEROS), at(15_000)).len(), 3);
}

#[test]
fn a_frame_larger_than_the_node_takes_is_not_sent() {
    let mut session = arrived();
    let large = Offer::Frame {
        hash: "b".into(),
        payload: 5_001,
        json: 9_000,
    };
    let outputs = session.offered(large, at(0));
    assert_eq!(outputs, [Output::Report(Report::TooLarge(5_001, 5_000))]);
    assert_eq!(session.message(ping(ZEROS), at(10)).len(), 2);
}

#[test]
fn while_the_configuration_is_withheld_pings_are_answered_and_it_goes_on_when_it_is_not() {
    let mut session = arrived();
    assert_eq!(session.offered(Offer::Withheld, at(0)), []);
    assert_eq!(session.message(ping(ZEROS), at(10)).len(), 2);
    assert_eq!(session.offered(frame("b"), at(20)), [Output::Push]);
}

#[test]
fn errors_are_reported_and_what_nobody_asked_for_is_borne() {
    let mut session = arrived();
    let error = json!({"type": "error", "error": {"code": 14}});
    let said = session.message(Message::Binary(error.to_string().into()), at(1));
    assert_eq!(said, [Output::Report(Report::Failed(json!({"code": 14})))]);
    for message in [
        Message::Text(Bytes::new()),
        Message::Pong,
        Message::Binary(Bytes::from_static(b"\xFF")),
    ] {
        assert_eq!(session.message(message, at(2)), []);
    }
}

#[test]
fn silence_ends_it() {
    let mut session = pushed();
    assert_eq!(session.deadline(), at(90_000));
    session.message(ping("a"), at(30_000));
    assert_eq!(session.tick(at(90_000)), []);
    assert!(matches!(session.tick(at(120_000))[..], [Output::Close(_)]));
}
