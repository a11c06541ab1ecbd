//! Given what has been said, when something comes, then this is sent: sessions without sockets or clocks.

use std::collections::BTreeMap;

use domain::{Digest, NodeId, Version};
use proptest::prelude::*;

use super::*;

const LOG: Uuid = Uuid::from_u128(1);
const GROUP: GroupId = GroupId(Uuid::from_u128(2));
const START: Timestamp = Timestamp(1_000_000);

fn at(version: Version) -> Applied {
    Applied {
        version,
        digest: Digest([version as u8; 32]),
    }
}

fn hello(applied: Option<Applied>) -> InstanceFrame {
    InstanceFrame::Hello(Hello {
        protocol: PROTOCOL,
        node: NodeId(Uuid::from_u128(3)),
        hostname: "edge-1".to_owned(),
        version: "1.0".to_owned(),
        labels: BTreeMap::new(),
        log: Some(LOG),
        group: Some(GROUP),
        applied,
    })
}

fn nack(refused: Applied) -> InstanceFrame {
    InstanceFrame::Nack {
        version: refused.version,
        digest: refused.digest,
        reason: "no such plugin".to_owned(),
    }
}

fn opened(newest: Applied) -> Session {
    Session::new(LOG, GROUP, 7, newest, START)
}

/// A session whose instance has said what it has.
fn greeted(newest: Applied, has: Option<Applied>) -> Session {
    let mut session = opened(newest);
    session.frame(hello(has), START);
    session
}

fn reports(outputs: &[Output]) -> Vec<&Report> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Report(report) => Some(report),
            _ => None,
        })
        .collect()
}

fn closes(outputs: &[Output]) -> bool {
    matches!(outputs, [Output::Close(_)])
}

#[test]
fn an_instance_that_has_the_newest_configuration_gets_nothing() {
    let mut session = opened(at(5));
    let outputs = session.frame(hello(Some(at(5))), START);
    assert!(matches!(
        outputs[0],
        Output::Send(ServerFrame::Welcome { session: 7, .. })
    ));
    assert!(reports(&outputs).contains(&&Report::Runs(at(5))));
    assert_eq!(session.wants_update(), None);
}

#[test]
fn equal_content_under_another_version_is_the_newest() {
    let same = Applied { version: 2, ..at(5) };
    assert_eq!(greeted(at(5), Some(same)).wants_update(), None);
}

#[test]
fn an_instance_behind_gets_a_step_from_what_it_has() {
    assert_eq!(greeted(at(5), Some(at(3))).wants_update(), Some(Some(at(3))));
}

#[test]
fn an_instance_with_nothing_or_another_logs_or_groups_configuration_gets_everything() {
    assert_eq!(greeted(at(5), None).wants_update(), Some(None));
    for (log, group) in [
        (Some(Uuid::from_u128(9)), Some(GROUP)),
        (Some(LOG), Some(GroupId(Uuid::from_u128(9)))),
        (None, None),
    ] {
        let InstanceFrame::Hello(said) = hello(Some(at(5))) else {
            unreachable!("hello is a hello");
        };
        let mut session = opened(at(5));
        session.frame(InstanceFrame::Hello(Hello { log, group, ..said }), START);
        assert_eq!(session.wants_update(), Some(None));
    }
}

#[test]
fn a_slow_instance_skips_to_the_newest_version() {
    let mut session = greeted(at(1), Some(at(1)));
    session.available(at(2));
    session.sent(at(2), false);
    for version in 3..100 {
        session.available(at(version));
        assert_eq!(session.wants_update(), None, "one update is unacknowledged");
    }
    let outputs = session.frame(InstanceFrame::Ack(at(2)), START);
    assert_eq!(outputs, [Output::Report(Report::Runs(at(2)))]);
    assert_eq!(session.wants_update(), Some(Some(at(2))));
}

#[test]
fn a_refused_configuration_is_reported_and_not_sent_again_until_it_changes() {
    let mut session = greeted(at(2), Some(at(1)));
    session.sent(at(2), false);
    let outputs = session.frame(nack(at(2)), START);
    let reason = "no such plugin".to_owned();
    let refused = at(2);
    assert_eq!(outputs, [Output::Report(Report::Refused { refused, reason })]);
    assert_eq!(session.wants_update(), None);
    session.available(Applied { version: 3, ..at(2) });
    assert_eq!(session.wants_update(), None, "the content is the same");
    session.available(at(4));
    assert_eq!(session.wants_update(), Some(Some(at(1))));
}

#[test]
fn a_step_that_does_not_fit_is_followed_by_a_snapshot_and_a_snapshot_that_does_not_by_nothing() {
    let refetch = || InstanceFrame::Refetch {
        reason: "digest".to_owned(),
    };
    let mut session = greeted(at(2), Some(at(1)));
    session.sent(at(2), false);
    session.frame(refetch(), START);
    assert_eq!(session.wants_update(), Some(None));
    session.sent(at(2), true);
    let outputs = session.frame(refetch(), START);
    assert!(matches!(reports(&outputs)[..], [Report::Refused { .. }]));
    assert_eq!(session.wants_update(), None);
}

#[test]
fn an_instance_that_does_not_run_what_it_acknowledged_is_mended() {
    let mut session = greeted(at(2), Some(at(2)));
    let applied = Some(at(1));
    let outputs = session.frame(InstanceFrame::Ping { applied }, START);
    assert_eq!(outputs[0], Output::Send(ServerFrame::Pong {}));
    assert_eq!(session.wants_update(), Some(None));
}

#[test]
fn a_heartbeat_before_an_update_is_acknowledged_changes_nothing() {
    let mut session = greeted(at(2), Some(at(1)));
    session.sent(at(2), false);
    session.frame(InstanceFrame::Ping { applied: Some(at(1)) }, START);
    assert_eq!(session.wants_update(), None);
    session.frame(InstanceFrame::Ack(at(2)), START);
    assert_eq!(session.wants_update(), None);
}

#[test]
fn silence_ends_a_session_and_heartbeats_keep_it() {
    let mut session = greeted(at(1), Some(at(1)));
    assert_eq!(session.deadline(), START.plus_seconds(DISCONNECT_SECONDS));
    assert!(
        session
            .tick(START.plus_seconds(DISCONNECT_SECONDS - 1))
            .is_empty()
    );
    session.frame(InstanceFrame::Ping { applied: None }, START.plus_seconds(60));
    assert!(session.tick(START.plus_seconds(DISCONNECT_SECONDS)).is_empty());
    assert!(closes(&session.tick(START.plus_seconds(60 + DISCONNECT_SECONDS))));
}

#[test]
fn what_is_no_conversation_is_closed() {
    assert!(closes(&opened(at(1)).tick(START.plus_seconds(HELLO_SECONDS))));
    assert!(closes(&opened(at(1)).frame(InstanceFrame::Ack(at(1)), START)));
    assert!(closes(&greeted(at(1), None).frame(hello(None), START)));
    let InstanceFrame::Hello(said) = hello(None) else {
        unreachable!("hello is a hello");
    };
    let newer = InstanceFrame::Hello(Hello {
        protocol: PROTOCOL + 1,
        ..said
    });
    assert!(closes(&opened(at(1)).frame(newer, START)));
}

/// What can happen between a session and an instance.
#[derive(Clone, Debug)]
enum Happening {
    Change,
    Deliver,
    Acknowledge,
    Heartbeat,
    Refetch,
    Duplicate,
    Reconnect,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        Just(Happening::Change),
        Just(Happening::Deliver),
        Just(Happening::Acknowledge),
        Just(Happening::Heartbeat),
        Just(Happening::Refetch),
        Just(Happening::Duplicate),
        Just(Happening::Reconnect),
    ];
    prop::collection::vec(one, 0..60)
}

/// A session and its instance, with what is on its way between them.
struct Pair {
    session: Session,
    newest: Applied,
    runs: Option<Applied>,
    sent: Option<(Option<Applied>, Applied)>,
    answer: Option<InstanceFrame>,
}

impl Pair {
    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Change => {
                self.newest = at(self.newest.version + 1);
                self.session.available(self.newest);
            }
            Happening::Deliver => self.deliver(),
            Happening::Acknowledge => {
                if let Some(answer) = self.answer.take() {
                    self.session.frame(answer, START);
                }
            }
            Happening::Heartbeat => {
                if self.answer.is_none() {
                    let applied = self.runs;
                    self.session.frame(InstanceFrame::Ping { applied }, START);
                }
            }
            Happening::Refetch => {
                if self.sent.take_if(|(base, _)| base.is_some()).is_some() {
                    let reason = String::new();
                    self.session.frame(InstanceFrame::Refetch { reason }, START);
                }
            }
            Happening::Duplicate => {
                if let Some(runs) = self.runs.filter(|_| self.sent.is_none() && self.answer.is_none()) {
                    self.session.frame(InstanceFrame::Ack(runs), START);
                }
            }
            Happening::Reconnect => {
                self.session = greeted(self.newest, self.runs);
                (self.sent, self.answer) = (None, None);
            }
        }
        if let Some(base) = self.session.wants_update() {
            self.session.sent(self.newest, base.is_none());
            self.sent = Some((base, self.newest));
        }
    }

    fn deliver(&mut self) {
        let Some((base, leads_to)) = self.sent.take() else {
            return;
        };
        assert!(
            base.is_none() || base == self.runs,
            "a step starts from what the instance runs"
        );
        self.runs = Some(leads_to);
        self.answer = Some(InstanceFrame::Ack(leads_to));
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_repeated_or_cut_off_the_instance_ends_at_the_newest(history in happenings()) {
        let mut pair = Pair {
            session: greeted(at(1), None),
            newest: at(1),
            runs: None,
            sent: None,
            answer: None,
        };
        for happening in &history {
            pair.happen(happening);
        }
        for _ in 0..4 {
            for last in [Happening::Deliver, Happening::Acknowledge, Happening::Heartbeat] {
                pair.happen(&last);
            }
        }
        prop_assert_eq!(pair.runs, Some(pair.newest));
        prop_assert_eq!(pair.session.wants_update(), None);
    }
}
