//! The whole program on a machine whose clock jumps forwards and back, while it runs and while it doesn't. Nothing expires early,
//! nothing lives longer than it should, the order of changes holds, and no change says that it was made at another time.
//!
//! `SEEDS=N` plays so many stories (10 unless told), `SEED=N` one of them.

use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient, GroupClient};
use tests::command_line::Outcome;
use tests::eventually::eventually;
use tests::process::report;
use tests::program;
use tests::server_process::{Log, ServerProcess};
use tests::settable_machine::{MACHINE, SettableMachine};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How many steps a story has.
const STEPS: usize = 14;

/// By how much a clock may differ without anybody being told, in seconds; here it differs by much less or by much more.
const TOLERANCE: i64 = 5 * MINUTE;

/// By how much the program's time may differ from what is expected here: small differences of the clock, and a slow machine.
const SLACK: i64 = MINUTE;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_ends_early_or_lives_longer_whatever_the_clock_is_set_to() {
    let given = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} is a number")),
        )
    };
    let seeds = match given("SEED") {
        Some(seed) => seed..=seed,
        None => 1..=given("SEEDS").unwrap_or(10),
    };
    for seed in seeds {
        let mut story = Story::begin(seed).await;
        for step in 0..STEPS {
            let what = story.step().await;
            story.told.push(format!("seed {seed}, step {step}: {what}"));
            story.check().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_clock_was_set_meanwhile_says_so_and_waits_for_the_operator() {
    let mut story = Story::begin(1).await;
    story.server.stop().await;
    for ahead in [-DAY, DAY] {
        story.machine.set_ahead(ahead);
        let said = story.refused_start().await;
        assert!(
            said.contains("the clock says") && said.contains("--accept-clock"),
            "{said}"
        );
    }
    // An operator who is mistaken too isn't followed.
    let today = date(story.machine.true_time());
    story.machine.set_ahead(400 * DAY);
    story.server.replace_arguments(&["--accept-clock", &today]);
    let said = story.refused_start().await;
    assert!(said.contains("which is another day"), "{said}");
    story.server.replace_arguments(&[]);
    story.machine.set_ahead(0);
    story.start().await;
    story.check().await;
    story.machine.reboot(20 * DAY);
    story.server.restart().await;
    story.check().await;
    story.server.stop().await;
    story.machine.reboot(60 * DAY);
    let said = story.refused_start().await;
    assert!(said.contains("which would be 60 days"), "{said}");
}

/// A credential, and until when it lives by the program's time: not ended before the one, ended after the other.
struct Credential {
    path: String,
    ttl: i64,
    ends: (i64, i64),
    /// Whether it was seen to have ended: it doesn't come back while the same clock is followed.
    ended: bool,
}

/// A token that ends at a time.
struct Token {
    secret: String,
    ends: i64,
}

/// A request with an idempotency key.
struct Request {
    key: String,
    made: i64,
}

struct Story {
    server: ServerProcess,
    machine: SettableMachine,
    /// By how many seconds the program's time is ahead of the true one: what an operator accepted last.
    accepted: i64,
    random: u64,
    made: usize,
    credentials: Vec<Credential>,
    tokens: Vec<Token>,
    requests: Vec<Request>,
    /// What has happened, for who reads why it failed.
    told: Vec<String>,
    _home: tempfile::TempDir,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let machine = SettableMachine::new(home.path().join("machine.json"));
        let mut server = ServerProcess::prepare(Log::Sqlite)
            .with_program(program::example("serve_under_a_clock"))
            .with_environment(MACHINE, &machine.file().display().to_string());
        server.start_again();
        server.ready().await;
        let story = Self {
            server,
            machine,
            accepted: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            made: 0,
            credentials: Vec::new(),
            tokens: Vec::new(),
            requests: Vec::new(),
            told: Vec::new(),
            _home: home,
        };
        let consumer = json!({ "username": "ada" });
        story
            .group()
            .post("consumers", &consumer)
            .await
            .expect_status(201);
        story
    }

    fn api(&self) -> ApiClient {
        self.server.api()
    }

    fn group(&self) -> GroupClient {
        self.api().group("default")
    }

    /// The program's time in seconds, as it should be.
    fn now(&self) -> i64 {
        self.machine.true_time() + self.accepted
    }

    /// A number below `limit`.
    fn draw(&mut self, limit: u64) -> u64 {
        // xorshift64*: any sequence will do that is the same for the same seed.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }

    fn draw_between(&mut self, least: i64, most: i64) -> i64 {
        least + self.draw((most - least).unsigned_abs()).cast_signed()
    }

    /// A jump beyond what clocks may differ by.
    fn jump(&mut self) -> i64 {
        let most = [HOUR, 30 * DAY, 700 * DAY][self.draw(3) as usize];
        let far = self.draw_between(2 * TOLERANCE, most);
        if self.draw(2) == 0 { far } else { -far }
    }

    async fn step(&mut self) -> String {
        match self.draw(10) {
            0 | 1 => {
                let ahead = self.accepted + self.jump();
                self.machine.set_ahead(ahead);
                format!("the clock is set {ahead} s ahead")
            }
            2 => {
                let ahead = self.accepted + self.draw_between(-20, 20);
                self.machine.set_ahead(ahead);
                format!("the clock is set {ahead} s ahead, which is little")
            }
            3 | 4 => {
                let seconds = self.draw_between(1, 2 * HOUR);
                self.machine.pass(seconds);
                format!("{seconds} s pass")
            }
            5 => self.restart().await,
            6 => self.create_token().await,
            7 => self.request().await,
            _ => self.create_credential().await,
        }
    }

    async fn create_credential(&mut self) -> String {
        self.made += 1;
        let ttl = self.draw_between(10 * MINUTE, 3 * HOUR);
        let body = json!({ "key": format!("key-{}", self.made), "ttl": ttl });
        let made = self
            .group()
            .post("consumers/ada/key-auth", &body)
            .await
            .expect_status(201)
            .json();
        let id = made["id"]
            .as_str()
            .or(made["item"]["id"].as_str())
            .expect("an id");
        let end = self.now() + ttl;
        self.credentials.push(Credential {
            path: format!("consumers/ada/key-auth/{id}"),
            ttl,
            ends: (end, end),
            ended: false,
        });
        format!("a credential for {ttl} s")
    }

    async fn create_token(&mut self) -> String {
        let ends = self.now() + self.draw_between(10 * MINUTE, 3 * HOUR);
        let body = json!({ "name": "short-lived", "role": "viewer", "expires_at": rfc3339(ends) });
        let made = self
            .api()
            .post("/v2/tokens", &body)
            .await
            .expect_status(201)
            .json();
        let secret = made["token"].as_str().expect("a new token is shown").to_owned();
        self.tokens.push(Token { secret, ends });
        format!("a token until {}", rfc3339(ends))
    }

    async fn request(&mut self) -> String {
        self.made += 1;
        let key = format!("service-{}", self.made);
        self.send(&key).await.expect_status(201);
        let made = self.now();
        self.requests.push(Request { key, made });
        "a request with an idempotency key".to_owned()
    }

    async fn send(&self, key: &str) -> Answer {
        let body = json!({ "name": key, "host": "s.test" });
        self.group()
            .post("services", &body)
            .header("idempotency-key", key)
            .await
    }

    /// Ends the program and starts it again; where its clock is refused, an operator sets it right or accepts it.
    async fn restart(&mut self) -> String {
        match self.draw(2) {
            0 => drop(self.server.stop().await),
            _ => self.server.kill9(),
        }
        let ahead = self.machine.state().ahead;
        if (ahead - self.accepted).abs() <= TOLERANCE {
            self.start().await;
            return "a restart".to_owned();
        }
        let said = self.refused_start().await;
        assert!(said.contains("--accept-clock"), "{said}");
        if self.draw(2) == 0 {
            self.machine.set_ahead(self.accepted);
            self.start().await;
            return "a restart, after the clock was set right".to_owned();
        }
        let day = date(self.machine.true_time() + ahead);
        self.server.replace_arguments(&["--accept-clock", &day]);
        self.start().await;
        self.server.replace_arguments(&[]);
        self.accept(ahead);
        format!("a restart that accepts the clock, {ahead} s ahead")
    }

    /// What lives that began in the future become.
    fn accept(&mut self, ahead: i64) {
        self.accepted = ahead;
        let now = self.now();
        // One that has ended is gone only once its deletion is written, a moment later: a clock set far back may find it still there.
        self.credentials.retain(|credential| !credential.ended);
        for credential in &mut self.credentials {
            let anew = now + credential.ttl;
            let ahead_by = |end: i64| end - anew;
            let (least, most) = credential.ends;
            if ahead_by(least) > TOLERANCE + SLACK {
                credential.ends = (anew, anew);
            } else if ahead_by(most) > TOLERANCE - SLACK {
                // Whether it began in the future is a matter of seconds.
                credential.ends = (least.min(anew), most);
            }
        }
        for request in &mut self.requests {
            request.made = request.made.min(now);
        }
    }

    async fn start(&mut self) {
        self.server.start_again();
        self.server.ready().await;
    }

    /// Starts the program, which must not start; answers what it says.
    async fn refused_start(&mut self) -> String {
        self.server.start_again();
        let status = self.server.process().ended().await;
        assert!(!status.success(), "its clock is not to be believed");
        let printed = self.server.process().printed();
        // Below it there may be a trace of calls.
        let reason = printed.lines().rfind(|line| line.starts_with("Error: "));
        reason.unwrap_or_default().to_owned()
    }

    async fn check(&mut self) {
        self.check_doubt().await;
        self.check_lifetimes().await;
        self.check_changes().await;
    }

    /// A clock that isn't followed is no reason to send requests elsewhere, and everybody who asks is told.
    async fn check_doubt(&self) {
        let doubtful = (self.machine.state().ahead - self.accepted).abs() > TOLERANCE;
        eventually("whether the clock is followed is told", async || {
            let ready = self.api().get("/readyz").await.expect_status(200).json();
            let conditions = ready["conditions"].as_array().expect("what isn't well");
            match conditions.iter().any(|condition| condition["name"] == "clock") == doubtful {
                true => Ok(()),
                false => Err(ready.to_string()),
            }
        })
        .await;
        if doubtful {
            let arguments = ["doctor", "--url", &self.server.url(), "--data-dir"];
            let directory = self.server.data_dir().display().to_string();
            let doctor: Outcome = self
                .server
                .command_line()
                .run(&[&arguments[..], &[&directory]].concat())
                .await;
            let said = doctor.expect_code(0).stdout();
            assert!(
                said.contains("warn  clock") && said.contains("--accept-clock"),
                "{said}"
            );
        }
    }

    async fn check_lifetimes(&mut self) {
        let group = self.group();
        let now = self.now();
        for credential in &mut self.credentials {
            let path = &credential.path;
            let look = async || group.get(path).await.status.as_u16();
            if credential.ended {
                assert_eq!(look().await, 404, "{path} came back");
            } else if now < credential.ends.0 - SLACK {
                assert_eq!(look().await, 200, "{path} ended early");
            } else if now > credential.ends.1 + SLACK {
                // Lives that a wrong clock began are counted anew by a reactor, a moment after the start.
                eventually("the credential ends", async || match look().await {
                    404 => Ok(()),
                    status => Err(format!("{path}: {status}")),
                })
                .await;
                credential.ended = true;
            }
        }
        let (now, api) = (self.now(), self.api());
        for token in &self.tokens {
            let status = api
                .with_token(&token.secret)
                .get("/v2/runtime-groups")
                .await
                .status
                .as_u16();
            if now < token.ends - SLACK {
                assert_eq!(status, 200, "a token ended early");
            } else if now > token.ends + SLACK {
                assert_eq!(status, 401, "a token lives longer than it should");
            }
        }
        for request in &self.requests {
            if (now - request.made).abs() < DAY - SLACK {
                // Made again it would be refused: there is a service of that name.
                self.send(&request.key).await.expect_status(201);
            }
        }
    }

    /// Every change says when it was made, in the order in which they were made.
    async fn check_changes(&mut self) {
        self.made += 1;
        let group = self.group();
        let name = format!("latest-{}", self.made);
        group
            .post("services", &json!({ "name": name, "host": "s.test" }))
            .await
            .expect_status(201);
        let history = group.history_after(0).await;
        let times: Vec<_> = history.iter().map(|change| seconds(&change["at"])).collect();
        assert!(times.is_sorted(), "{times:?}");
        let newest = *times.last().expect("a change");
        let off = newest - self.now();
        assert!(off.abs() <= SLACK, "the newest change says {off} s from now");
        let at = rfc3339(self.now() + SLACK);
        let found = group.get(&format!("services/{name}?at={at}")).await;
        found.expect_status(200);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.told.join("\n"));
        }
    }
}

fn rfc3339(seconds: i64) -> String {
    domain::Timestamp(seconds * 1_000).rfc3339()
}

/// The day, as `YYYY-MM-DD`.
fn date(seconds: i64) -> String {
    rfc3339(seconds)[..10].to_owned()
}

fn seconds(time: &Value) -> i64 {
    let time = time.as_str().expect("a time");
    time.parse::<domain::Timestamp>().expect("RFC 3339").seconds()
}
