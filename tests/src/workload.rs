//! Writers that never stop: what they were promised is written down, so that a test can ask for it after a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api_client::{Answer, Call, GroupClient};
use crate::eventually::{Patience, eventually};
use crate::histories::{History, Kind, Operation};

/// How many services each writer changes in turn.
const SERVICES_PER_WRITER: u64 = 5;

/// How long an attempt may take: a process that is frozen takes connections and never answers.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A change that the server acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The version that the answer named in its `ETag`.
    pub version: u64,
    /// The reason that was sent; no two changes of a workload have the same.
    pub message: String,
    /// The service that was written.
    pub service: String,
    /// The host that it was given.
    pub host: String,
}

/// Concurrent writers on one runtime group.
///
/// A writer that gets no answer, or 503, sends the same request with the same idempotency key again until the answer is definite:
/// exactly what a careful client does. Any other refusal ends the test.
#[derive(Debug)]
pub struct Workload {
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    history: History,
    stop: CancellationToken,
    writers: JoinSet<()>,
}

impl Workload {
    /// Starts `writers` writers.
    pub fn start(group: &GroupClient, writers: u64) -> Self {
        Self::spread(std::slice::from_ref(group), writers)
    }

    /// Starts `writers` writers that send each request to another of the processes behind `groups`, all the same group, and go to
    /// the next one where one doesn't answer. With more than one process each write is read back from another.
    pub fn spread(groups: &[GroupClient], writers: u64) -> Self {
        let mut workload = Self {
            acknowledged: Arc::default(),
            history: History::default(),
            stop: CancellationToken::new(),
            writers: JoinSet::new(),
        };
        let groups: Arc<[GroupClient]> = groups.into();
        for number in 0..writers {
            let writer = Writer {
                number,
                groups: groups.clone(),
                history: workload.history.clone(),
                acknowledged: workload.acknowledged.clone(),
                stop: workload.stop.clone(),
            };
            workload.writers.spawn(writer.run());
        }
        workload
    }

    /// Every change that was acknowledged until now.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged
            .lock()
            .expect("no writer panics while it notes")
            .clone()
    }

    /// Everything that the writers did and saw until now.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Waits until `more` changes beyond those of now are acknowledged.
    pub async fn progress(&mut self, more: usize) {
        let goal = self.acknowledged().len() + more;
        let (acknowledged, writers) = (&self.acknowledged, &mut self.writers);
        eventually("the writers make progress", async || {
            must_run(writers);
            let now = acknowledged
                .lock()
                .expect("no writer panics while it notes")
                .len();
            if now >= goal {
                Ok(())
            } else {
                Err(format!("{now} of {goal} changes are acknowledged"))
            }
        })
        .await;
    }

    /// Lets every writer finish what it has begun and returns everything that was acknowledged.
    pub async fn finish(mut self) -> Vec<Acknowledged> {
        self.stop.cancel();
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("a writer is only refused what it may be refused");
        }
        self.acknowledged()
    }
}

/// Panics with the reason if a writer has panicked.
fn must_run(writers: &mut JoinSet<()>) {
    while let Some(ended) = writers.try_join_next() {
        ended.expect("a writer is only refused what it may be refused");
    }
}

struct Writer {
    number: u64,
    groups: Arc<[GroupClient]>,
    history: History,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    stop: CancellationToken,
}

impl Writer {
    async fn run(self) {
        let mut count = 0;
        while !self.stop.is_cancelled() {
            let acknowledged = self.write(count).await;
            if self.groups.len() > 1 {
                self.read(&acknowledged.service, count + 1).await;
            }
            self.acknowledged
                .lock()
                .expect("no writer panics while it notes")
                .push(acknowledged);
            count += 1;
        }
    }

    async fn write(&self, count: u64) -> Acknowledged {
        let writer = self.number;
        let message = format!("writer {writer}, change {count}");
        let service = format!("writer-{writer}-service-{}", count % SERVICES_PER_WRITER);
        let host = format!("change-{count}.writer-{writer}.test");
        let body = json!({ "name": service, "host": host, "port": 8080 });
        let invoked = Instant::now();
        let put = |group: &GroupClient| {
            group
                .put(&format!("services/{service}"), &body)
                .header("x-change-message", &message)
                .header("idempotency-key", &message)
        };
        let answer = self.until_definite(&message, count, put).await;
        let version = answer.version_tag();
        self.note(invoked, &service, &host, Kind::Wrote { version });
        Acknowledged {
            version,
            message,
            service,
            host,
        }
    }

    async fn read(&self, service: &str, count: u64) {
        let what = format!("reading {service}");
        let invoked = Instant::now();
        let get = |group: &GroupClient| group.get(&format!("services/{service}"));
        let answer = self.until_definite(&what, count, get).await;
        let body = answer.json();
        let host = body["host"].as_str().expect("a service has a host");
        let kind = Kind::Read {
            touched: answer.version_tag(),
            group: answer.group_version(),
        };
        self.note(invoked, service, host, kind);
    }

    /// Sends a request to one process after the other, beginning with another each time, until one answers definitely.
    async fn until_definite(&self, what: &str, count: u64, call: impl Fn(&GroupClient) -> Call) -> Answer {
        let patience = Patience::new(what);
        let first = usize::try_from(self.number + count).expect("a test writes less");
        for attempt in first.. {
            let call = call(&self.groups[attempt % self.groups.len()]).attempt();
            let answer = match tokio::time::timeout(ATTEMPT, call).await {
                Ok(Ok(answer)) => definite(answer),
                Ok(Err(error)) => Err(format!("{error:?}")),
                Err(_) => Err("no answer".to_owned()),
            };
            match answer {
                Ok(answer) => return answer,
                Err(unknown) => patience.pause(unknown).await,
            }
        }
        unreachable!("attempts don't run out");
    }

    fn note(&self, invoked: Instant, service: &str, host: &str, kind: Kind) {
        self.history.note(Operation {
            invoked,
            answered: Instant::now(),
            service: service.to_owned(),
            host: host.to_owned(),
            kind,
        });
    }
}

/// The answer if it settles what became of the request.
fn definite(answer: Answer) -> Result<Answer, String> {
    match answer.status.as_u16() {
        200 | 201 => Ok(answer),
        503 => Err(answer.text()),
        status => panic!("a writer was refused with {status}: {}", answer.text()),
    }
}

/// Checks the part of a group's history after version `since` against what was acknowledged: versions count up without a gap, every
/// acknowledged change stands at the version its answer named, no change stands twice. Returns the newest version that was checked.
///
/// # Panics
/// When an acknowledged change is lost, moved or repeated.
pub async fn verify(group: &GroupClient, acknowledged: &[Acknowledged], since: u64) -> u64 {
    let history = group.history_after(since).await;
    let mut version_of: BTreeMap<&str, u64> = BTreeMap::new();
    let mut newest = since;
    for change in &history {
        newest += 1;
        assert_eq!(
            change["version"],
            json!(newest),
            "the versions of a group have no gap"
        );
        let message = change["message"]
            .as_str()
            .expect("every change of a workload says why");
        let earlier = version_of.insert(message, newest);
        assert_eq!(earlier, None, "{message:?} happened again at version {newest}");
    }
    for promised in acknowledged.iter().filter(|promised| promised.version > since) {
        let found = version_of.get(promised.message.as_str());
        assert_eq!(
            found,
            Some(&promised.version),
            "an acknowledged change is where it was: {promised:?}"
        );
    }
    newest
}

/// Checks that every service is exactly as its last acknowledged change left it; for when no writer runs.
///
/// # Panics
/// When one isn't.
pub async fn verify_services(group: &GroupClient, acknowledged: &[Acknowledged]) {
    let mut last: BTreeMap<&str, &Acknowledged> = BTreeMap::new();
    for promised in acknowledged {
        let kept = last.entry(&promised.service).or_insert(promised);
        if promised.version > kept.version {
            *kept = promised;
        }
    }
    let services = group.all("services").await;
    assert_eq!(
        services.len(),
        last.len(),
        "exactly the services that were written are there"
    );
    for service in services {
        let promised = last[service["name"]
            .as_str()
            .expect("every service of the workload has a name")];
        assert_eq!(service["host"], promised.host.as_str(), "{promised:?}");
    }
}
