//! One instance's session on `/v2/outlet` as a pure state machine: time, messages and new configurations go in; messages
//! to send, what the registry should know, and the end come out.
//!
//! An instance asks for what leads from its version to the newest: after connecting, every 30 seconds, and when it is
//! told that there is a newer one. What it asks from is what it runs.

use domain::Timestamp;
use serde_json::{Value, json};

use super::deltas::EncodedDeltas;
use super::hello::Hello;
use super::json_rpc::{self, Id, Message, RpcError, Said};
use super::snappy;
use super::version::SyncVersion;
use crate::kong::frame::Frame;

const GET_DELTA: &str = "kong.sync.v2.get_delta";
const NOTIFY_NEW_VERSION: &str = "kong.sync.v2.notify_new_version";
const NOTIFY_VALIDATION_ERROR: &str = "kong.sync.v2.notify_validation_error";

/// How long an instance may take to say hello, in seconds.
const HELLO_SECONDS: i64 = 10;
/// An instance not heard of for so long is pinged, in seconds.
const PING_SECONDS: i64 = 30;
/// An instance not heard of for so long is disconnected, in seconds.
const SILENCE_SECONDS: i64 = 45;
/// The longest reason that is kept of a refusal, in bytes.
const REASON_LIMIT: usize = 4 * 1024;
/// The longest version of an instance that is kept, in bytes.
const VERSION_LIMIT: usize = 125;
/// What stands before shared deltas in an answer has fewer bytes than this.
const HEAD_LIMIT: usize = 1024;

/// What a session tells its driver to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this message.
    Send(Frame),
    /// Send a WebSocket ping.
    Ping,
    /// The instance has introduced itself. The driver answers with [`Session::admitted`].
    Arrived(Box<Hello>),
    /// The instance asks for its deltas. The driver gets them and answers with [`Session::answered`].
    Wanted(Wanted),
    /// The instance runs this version.
    Runs(String),
    /// The instance can't use the configuration that it was led to.
    Refused {
        /// Which.
        version: String,
        /// Why, in its words.
        reason: String,
    },
    /// What it needs is larger than it takes, and isn't sent; the reason is for people.
    TooLarge(String),
    /// It says that something went wrong.
    Failed(RpcError),
    /// Close the connection; the reason is for people.
    Close(String),
}

/// The answers to one message, which wait for deltas.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What the instance has.
    pub has: String,
    /// Whether only the whole configuration helps.
    pub whole: bool,
    answers: Vec<Answer>,
    batch: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Ready(String),
    Deltas(Id),
}

/// What an instance is answered that asks for deltas.
#[derive(Clone, Copy, Debug)]
pub enum Deltas<'a> {
    /// These.
    Encoded(&'a EncodedDeltas),
    /// None for the moment: it keeps what it has.
    Withheld,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its hello is awaited.
    Opened,
    /// It has said hello and isn't answered yet.
    Introduced,
    /// It is answered; configurations travel here or don't.
    Admitted { sync: bool },
}

/// One instance's session.
#[derive(Clone, Debug)]
pub struct Session {
    stage: Stage,
    hello: Option<Box<Hello>>,
    newest: Option<SyncVersion>,
    /// The version it was told of and hasn't asked for yet.
    told: Option<SyncVersion>,
    /// What it was led to last, and whether by a whole configuration.
    led_to: Option<(SyncVersion, bool)>,
    refused: Option<Refused>,
    /// The largest message it takes, in bytes.
    max_payload: usize,
    next_id: u64,
    last_heard: Timestamp,
    pinged: bool,
}

/// What an instance can't use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// A step: the whole configuration may help.
    Step,
    /// The whole configuration of this version: only another one helps.
    Whole(SyncVersion),
}

impl Session {
    /// A session that has just been opened.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            stage: Stage::Opened,
            hello: None,
            newest: None,
            told: None,
            led_to: None,
            refused: None,
            max_payload: usize::MAX,
            next_id: 1,
            last_heard: now,
            pinged: false,
        }
    }

    /// A message came.
    pub fn frame(&mut self, bytes: &[u8], now: Timestamp) -> Vec<Output> {
        self.heard(now);
        match self.stage {
            Stage::Opened => self.introduced(bytes),
            Stage::Introduced => close("it didn't wait for the answer to its hello"),
            Stage::Admitted { sync } => match snappy::decompress(bytes) {
                Ok(text) => self.message(json_rpc::decode(&text), sync),
                Err(error) => {
                    let error = RpcError::new(json_rpc::PARSE_ERROR, error.to_string());
                    vec![send(&json_rpc::refusal(&Id::NONE, &error))]
                }
            },
        }
    }

    /// Something came that is no message.
    pub const fn heard(&mut self, now: Timestamp) {
        self.last_heard = now;
        self.pinged = false;
    }

    /// Answers an instance's hello: whether its configuration travels here, which is the newest, and how large messages
    /// it takes at most, in bytes. One whose configuration doesn't gets it on `/v1/outlet`.
    pub fn admitted(&mut self, sync: Option<SyncVersion>, max_payload: usize) -> Vec<Output> {
        let (Stage::Introduced, Some(hello)) = (self.stage, self.hello.take()) else {
            return Vec::new();
        };
        let sync = sync.filter(|_| hello.offers_sync());
        self.max_payload = max_payload;
        self.newest = sync;
        self.stage = Stage::Admitted { sync: sync.is_some() };
        vec![Output::Send(Frame::from(
            hello.answer(sync.is_some()).into_bytes(),
        ))]
    }

    /// There is a newer configuration.
    pub fn available(&mut self, newest: SyncVersion) -> Vec<Output> {
        self.newest = Some(newest);
        self.tell().into_iter().collect()
    }

    /// There is a newer configuration, with the content of the one that the instance runs already.
    pub const fn unchanged(&mut self, newest: SyncVersion) {
        self.newest = Some(newest);
    }

    /// The deltas that an instance wanted.
    pub fn answered(&mut self, wanted: &Wanted, deltas: Deltas<'_>) -> Vec<Output> {
        let mut outputs = Vec::new();
        let mut deltas = match deltas {
            Deltas::Encoded(encoded) => Some(encoded),
            Deltas::Withheld => None,
        };
        if let Some(encoded) = deltas
            && encoded.compressed.size() + HEAD_LIMIT > self.max_payload
        {
            outputs.push(Output::TooLarge(too_large(
                encoded.compressed.size(),
                self.max_payload,
            )));
            deltas = None;
        }
        let refuses =
            |refused: &Refused| Some(*refused) == deltas.map(|deltas| Refused::Whole(deltas.leads_to));
        if self.refused.as_ref().is_some_and(refuses) {
            deltas = None;
        }
        outputs.insert(0, Output::Send(written(wanted, deltas)));
        if let Some(deltas) = deltas.filter(|deltas| deltas.count > 0) {
            self.led_to = Some((deltas.leads_to, deltas.full_sync));
            if Some(deltas.leads_to) != self.newest {
                outputs.extend(self.tell());
            }
        }
        outputs
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        if now < self.deadline() {
            return Vec::new();
        }
        if self.stage == Stage::Opened {
            return close(&format!("no hello came within {HELLO_SECONDS} seconds"));
        }
        if now >= self.last_heard.plus_seconds(SILENCE_SECONDS) {
            return close(&format!("nothing was heard for {SILENCE_SECONDS} seconds"));
        }
        self.pinged = true;
        vec![Output::Ping]
    }

    /// When [`Session::tick`] is next needed.
    pub const fn deadline(&self) -> Timestamp {
        let patience = match (self.stage, self.pinged) {
            (Stage::Opened, _) => HELLO_SECONDS,
            (_, false) => PING_SECONDS,
            (_, true) => SILENCE_SECONDS,
        };
        self.last_heard.plus_seconds(patience)
    }

    fn introduced(&mut self, bytes: &[u8]) -> Vec<Output> {
        match Hello::decode(bytes) {
            Ok(hello) => {
                self.stage = Stage::Introduced;
                let hello = Box::new(hello);
                self.hello = Some(hello.clone());
                vec![Output::Arrived(hello)]
            }
            Err(error) => close(&error.to_string()),
        }
    }

    fn message(&mut self, message: Message, sync: bool) -> Vec<Output> {
        let (said, batch) = match message {
            Message::One(said) => (vec![said], false),
            Message::Batch(said) => (said, true),
        };
        let (mut outputs, mut answers, mut has) = (Vec::new(), Vec::new(), None);
        for said in said {
            match self.said(said, sync, &mut outputs) {
                Some(Replied::Ready(answer)) => answers.push(Answer::Ready(answer)),
                Some(Replied::Deltas { id, version }) => {
                    answers.push(Answer::Deltas(id));
                    has = Some(version);
                }
                None => (),
            }
        }
        let wanted = |has| Wanted {
            has,
            whole: false,
            answers,
            batch,
        };
        match has {
            Some(has) => {
                self.told = None;
                outputs.push(Output::Wanted(Wanted {
                    whole: self.refused == Some(Refused::Step),
                    ..wanted(has)
                }));
            }
            None => {
                let wanted = wanted(String::new());
                if !wanted.answers.is_empty() {
                    outputs.push(Output::Send(written(&wanted, None)));
                }
            }
        }
        outputs
    }

    fn said(&mut self, said: Said, sync: bool, outputs: &mut Vec<Output>) -> Option<Replied> {
        match said {
            Said::Request { id, method, params } if sync && method == GET_DELTA => {
                Some(match self.asked(&params, outputs) {
                    Some(version) => Replied::Deltas { id, version },
                    None => {
                        let error =
                            RpcError::new(json_rpc::INVALID_PARAMS, "it doesn't say which version it has");
                        Replied::Ready(json_rpc::refusal(&id, &error))
                    }
                })
            }
            Said::Notification { method, params } if sync => {
                match method.as_str() {
                    GET_DELTA => drop(self.asked(&params, outputs)),
                    NOTIFY_VALIDATION_ERROR => outputs.push(self.refused(&params)),
                    _ => (),
                }
                None
            }
            Said::Request { id, method, params } if sync && method == NOTIFY_VALIDATION_ERROR => {
                outputs.push(self.refused(&params));
                Some(Replied::Ready(json_rpc::answer(&id, &true.into())))
            }
            Said::Request { id, method, .. } => {
                let error = RpcError::new(
                    json_rpc::METHOD_NOT_FOUND,
                    format!("there is no method {method} here"),
                );
                Some(Replied::Ready(json_rpc::refusal(&id, &error)))
            }
            Said::Invalid(id, error) => Some(Replied::Ready(json_rpc::refusal(&id, &error))),
            Said::Answer(Err(error)) => {
                outputs.push(Output::Failed(error));
                None
            }
            Said::Notification { .. } | Said::Answer(Ok(_)) => None,
        }
    }

    /// The version an instance has and asks from.
    fn asked(&mut self, params: &Value, outputs: &mut Vec<Output>) -> Option<String> {
        let version = params[0]["default"]["version"].as_str()?;
        let version = shortened(version, VERSION_LIMIT).to_owned();
        outputs.push(Output::Runs(version.clone()));
        if self
            .led_to
            .is_some_and(|(led_to, _)| led_to.to_string() == version)
        {
            self.refused = None;
        }
        Some(version)
    }

    fn refused(&mut self, params: &Value) -> Output {
        let said = &params[0];
        self.refused = self.led_to.map(|(version, whole)| match whole {
            true => Refused::Whole(version),
            false => Refused::Step,
        });
        let version = match (said["version"].as_str().and_then(SyncVersion::parse), self.led_to) {
            (Some(version), _) | (None, Some((version, _))) => version.to_string(),
            (None, None) => String::new(),
        };
        let reason = match said["error"]["message"].as_str() {
            Some(message) if said["error"]["flattened_errors"].is_null() => message.to_owned(),
            _ => said["error"].to_string(),
        };
        Output::Refused {
            version,
            reason: shortened(&reason, REASON_LIMIT).to_owned(),
        }
    }

    /// Tells an instance of the newest version, once until it asks.
    fn tell(&mut self) -> Option<Output> {
        let newest = self.newest?;
        if self.stage != (Stage::Admitted { sync: true }) || self.told.is_some() {
            return None;
        }
        self.told = Some(newest);
        let id = self.next_id;
        self.next_id += 1;
        let param = json!({"default": {"new_version": newest.to_string()}});
        Some(send(&json_rpc::request(id, NOTIFY_NEW_VERSION, param)))
    }
}

enum Replied {
    Ready(String),
    Deltas { id: Id, version: String },
}

/// One message of all answers; what isn't a batch and has deltas shares their bytes with other connections.
fn written(wanted: &Wanted, deltas: Option<&EncodedDeltas>) -> Frame {
    if let ([Answer::Deltas(id)], Some(deltas), false) = (&wanted.answers[..], deltas, wanted.batch) {
        return snappy::message(&json_rpc::answer_head(id), &deltas.compressed);
    }
    let texts = wanted.answers.iter().map(|answer| match answer {
        Answer::Ready(text) => text.clone(),
        Answer::Deltas(id) => match deltas.and_then(|deltas| deltas.compressed.text()) {
            Some(result_and_end) => json_rpc::answer_head(id) + &result_and_end,
            None => json_rpc::answer(id, &json!({"default": {"deltas": [], "full_sync": false}})),
        },
    });
    let texts = texts.collect::<Vec<_>>().join(",");
    let text = if wanted.batch { format!("[{texts}]") } else { texts };
    snappy::own_message(&text)
}

fn send(text: &str) -> Output {
    Output::Send(snappy::own_message(text))
}

fn too_large(size: usize, max_payload: usize) -> String {
    format!(
        "what it needs has {size} bytes compressed, more than the {max_payload} it takes: raise its \
         cluster_max_payload, or switch its cluster_rpc_sync off"
    )
}

fn shortened(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

fn close(reason: &str) -> Vec<Output> {
    vec![Output::Close(reason.to_owned())]
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
