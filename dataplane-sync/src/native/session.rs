//! One instance's session as a pure state machine (DESIGN §7): time, frames and new configurations go in; frames to
//! send, what the registry should know, and the end come out. [`super::connection`] drives it.
//!
//! At most one update is unacknowledged at a time; what comes after it is always the step to the newest configuration,
//! so a slow instance skips what is between and holds up nobody.

use domain::{Digest, GroupId, Timestamp};
use uuid::Uuid;

use super::frames::{Applied, Hello, InstanceFrame, ServerFrame};
use super::{DISCONNECT_SECONDS, HEARTBEAT_SECONDS, PROTOCOL};

/// How long an instance may take to say hello, in seconds.
const HELLO_SECONDS: i64 = 10;

/// What a session tells its driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame.
    Send(ServerFrame),
    /// Tell the registry.
    Report(Report),
    /// Close the connection; the reason is for people.
    Close(String),
}

/// What the registry should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The instance has introduced itself.
    Arrived(Box<Hello>),
    /// The instance runs this.
    Runs(Applied),
    /// The instance refused this.
    Refused {
        /// What it refused.
        refused: Applied,
        /// Why, in its words.
        reason: String,
    },
    /// The instance was heard of.
    Heard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    leads_to: Applied,
    snapshot: bool,
}

/// One instance's session.
#[derive(Clone, Debug)]
pub struct Session {
    log: Uuid,
    group: GroupId,
    number: u64,
    newest: Applied,
    greeted: bool,
    /// What the instance runs, as far as deltas can build on it.
    applied: Option<Applied>,
    in_flight: Option<InFlight>,
    refused: Option<Digest>,
    last_heard: Timestamp,
}

impl Session {
    /// A session that has just been opened; `number` is for log lines.
    pub const fn new(log: Uuid, group: GroupId, number: u64, newest: Applied, now: Timestamp) -> Self {
        Self {
            log,
            group,
            number,
            newest,
            greeted: false,
            applied: None,
            in_flight: None,
            refused: None,
            last_heard: now,
        }
    }

    /// A frame came.
    pub fn frame(&mut self, frame: InstanceFrame, now: Timestamp) -> Vec<Output> {
        self.last_heard = now;
        match frame {
            InstanceFrame::Hello(hello) => self.hello(hello),
            _ if !self.greeted => close("the first frame must be a hello"),
            InstanceFrame::Ack(applied) => self.ack(applied),
            InstanceFrame::Nack {
                version,
                digest,
                reason,
            } => self.nack(Applied { version, digest }, reason),
            InstanceFrame::Refetch { reason } => self.refetch(reason),
            InstanceFrame::Ping { applied } => self.ping(applied),
        }
    }

    /// There is a newer configuration.
    pub const fn available(&mut self, newest: Applied) {
        self.newest = newest;
    }

    /// Time has passed.
    pub fn tick(&self, now: Timestamp) -> Vec<Output> {
        if now < self.deadline() {
            return Vec::new();
        }
        if self.greeted {
            close(&format!("nothing was heard for {DISCONNECT_SECONDS} seconds"))
        } else {
            close(&format!("no hello came within {HELLO_SECONDS} seconds"))
        }
    }

    /// When [`Session::tick`] is next needed.
    pub const fn deadline(&self) -> Timestamp {
        let patience = if self.greeted {
            DISCONNECT_SECONDS
        } else {
            HELLO_SECONDS
        };
        self.last_heard.plus_seconds(patience)
    }

    /// Whether an update should be sent now, and what it can build on. The driver answers with [`Session::sent`].
    pub fn wants_update(&self) -> Option<Option<Applied>> {
        let runs_newest = self
            .applied
            .is_some_and(|applied| applied.digest == self.newest.digest);
        let refuses_newest = self.refused == Some(self.newest.digest);
        let ready = self.greeted && self.in_flight.is_none() && !runs_newest && !refuses_newest;
        ready.then_some(self.applied)
    }

    /// An update is on its way: to the newest configuration, or to one from which the next update leads there.
    pub const fn sent(&mut self, leads_to: Applied, snapshot: bool) {
        self.in_flight = Some(InFlight { leads_to, snapshot });
    }

    fn hello(&mut self, hello: Hello) -> Vec<Output> {
        if self.greeted {
            return close("a second hello came");
        }
        if hello.protocol != PROTOCOL {
            return close(&format!(
                "protocol version {} isn't spoken here, {PROTOCOL} is: update the instance or the control plane",
                hello.protocol
            ));
        }
        self.greeted = true;
        let ours = hello.log == Some(self.log) && hello.group == Some(self.group);
        self.applied = hello.applied.filter(|_| ours);
        let welcome = ServerFrame::Welcome {
            log: self.log,
            group: self.group,
            session: self.number,
            heartbeat: HEARTBEAT_SECONDS as u32,
        };
        let mut outputs = vec![
            Output::Send(welcome),
            Output::Report(Report::Arrived(Box::new(hello))),
        ];
        outputs.extend(self.applied.map(|applied| Output::Report(Report::Runs(applied))));
        outputs
    }

    fn ack(&mut self, applied: Applied) -> Vec<Output> {
        let Some(in_flight) = self.in_flight.take() else {
            return vec![Output::Report(Report::Heard)];
        };
        if in_flight.leads_to != applied {
            self.in_flight = Some(in_flight);
            return self.refetch("it acknowledged another configuration than it was sent".to_owned());
        }
        self.refused = None;
        self.applied = Some(applied);
        vec![Output::Report(Report::Runs(applied))]
    }

    fn nack(&mut self, refused: Applied, reason: String) -> Vec<Output> {
        if self
            .in_flight
            .is_none_or(|in_flight| in_flight.leads_to != refused)
        {
            return vec![Output::Report(Report::Heard)];
        }
        self.in_flight = None;
        self.refused = Some(refused.digest);
        vec![Output::Report(Report::Refused { refused, reason })]
    }

    fn refetch(&mut self, reason: String) -> Vec<Output> {
        // It runs something else than was thought: only a snapshot is sure to mend that.
        self.applied = None;
        match self.in_flight.take() {
            // A snapshot that doesn't fit its own digest would not fit the next time either.
            Some(InFlight {
                leads_to,
                snapshot: true,
            }) => {
                self.refused = Some(leads_to.digest);
                let refused = leads_to;
                vec![Output::Report(Report::Refused { refused, reason })]
            }
            _ => vec![Output::Report(Report::Heard)],
        }
    }

    fn ping(&mut self, applied: Option<Applied>) -> Vec<Output> {
        let mut outputs = vec![Output::Send(ServerFrame::Pong {}), Output::Report(Report::Heard)];
        let digest = |applied: Option<Applied>| applied.map(|applied| applied.digest);
        if self.in_flight.is_none() && digest(applied) != digest(self.applied) {
            // It doesn't run what it acknowledged: never leave an instance out of date in silence.
            self.applied = None;
            outputs.extend(applied.map(|applied| Output::Report(Report::Runs(applied))));
        }
        outputs
    }
}

fn close(reason: &str) -> Vec<Output> {
    vec![Output::Close(reason.to_owned())]
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
