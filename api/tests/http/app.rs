//! A whole API in memory, and what a test says to it and hears.

use std::sync::{Arc, OnceLock};

use api::clock::SystemClock;
use api::compose::authority;
use api::health::Conditions;
use api::http::{Parts, RequestRates, Settings, routers};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use commands::bootstrap::{FirstStart, bootstrap};
use commands::bus::{self, CommandBus};
use commands::keyring::MemoryKeyring;
use commands::log::MemoryLog;
use commands::log::head::{LogHead, SignedHead};
use commands::log::witness::Heads;
use commands::sandbox::{ProcessSandbox, Program};
use commands::tasks::Tasks;
use domain::rate::Rate;
use domain::signing::SigningKey;
use domain::token::{self, Role};
use domain::{Clock, Digest, EventLog, Keyring, OrganizationId, Position, Spawner, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use projections::{Location, Projections};
use serde_json::Value;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::surroundings;

/// A running API with one organization.
pub(crate) struct App {
    router: Router,
    admin: String,
    bus: CommandBus,
    site: Site,
    _views: Option<tempfile::TempDir>,
}

/// What stands below the API.
#[derive(Clone)]
struct Site {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl App {
    /// A fresh installation.
    pub(crate) async fn start() -> Self {
        Self::going_by(Arc::new(SystemClock)).await
    }

    /// A fresh installation with a clock of the test's own.
    pub(crate) async fn going_by(clock: Arc<dyn Clock>) -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new());
        let keyring: Arc<dyn Keyring> = Arc::new(MemoryKeyring::in_memory());
        let tasks = Tasks::default();
        let spawner: Arc<dyn Spawner> = Arc::new(tasks.clone());
        let bus = CommandBus::new(bus::Options {
            log: Arc::clone(&log),
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&clock),
            spawner: Arc::clone(&spawner),
            sandbox: Arc::new(ProcessSandbox::new(Program::at(env!(
                "CARGO_BIN_EXE_runtime-manager"
            )))),
            states: None,
            follower: None,
            deadline: bus::DEADLINE,
            group_retention: None,
        });
        let admin = token::write(Role::Admin, [7; 32]);
        bootstrap(&bus, first_start(1, token::hash(admin.expose())))
            .await
            .unwrap();
        let views = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(views.path().join("views.db").display().to_string());
        let site = Site {
            log,
            keyring,
            clock,
            tasks,
        };
        Self {
            router: site.router(&bus, location).await,
            admin: admin.expose().to_owned(),
            bus,
            site,
            _views: Some(views),
        }
    }

    /// What everything is derived from.
    pub(crate) fn log_and_keyring(&self) -> (Arc<dyn EventLog>, Arc<dyn Keyring>) {
        (Arc::clone(&self.site.log), Arc::clone(&self.site.keyring))
    }

    /// The same installation, read from another database.
    pub(crate) async fn reading_from(&self, location: Location) -> Self {
        Self {
            router: self.site.router(&self.bus, location).await,
            admin: self.admin.clone(),
            bus: self.bus.clone(),
            site: self.site.clone(),
            _views: None,
        }
    }

    /// Another organization in the same installation; answers its admin token.
    pub(crate) async fn another_organization(&self) -> String {
        use domain::gateway::Commands as _;
        let admin = token::write(Role::Admin, [8; 32]);
        let id = OrganizationId(Uuid::from_u128(2));
        let create = domain::organization::OrganizationCommand::Create {
            id,
            name: "other".to_owned(),
            admin: token::hash(admin.expose()),
        };
        let cause = domain::Cause::system("test");
        self.bus.organization(id, create, cause).await.unwrap();
        admin.expose().to_owned()
    }

    /// The token of the first organization's admin.
    pub(crate) fn admin_token(&self) -> &str {
        &self.admin
    }

    /// Has something happen in the first organization that nobody asks for over HTTP.
    pub(crate) async fn organization(&self, command: domain::organization::OrganizationCommand) {
        use domain::gateway::Commands as _;
        let id = OrganizationId(Uuid::from_u128(1));
        let cause = domain::Cause::system("fleet");
        self.bus.organization(id, command, cause).await.unwrap();
    }

    /// Ends the process, as far as answers that would go on for ever can tell.
    pub(crate) fn end(&self) {
        self.site.tasks.token().cancel();
    }

    /// Issues a token and answers its secret.
    pub(crate) async fn token(&self, role: &str, group: Option<&str>) -> String {
        let body = serde_json::json!({"name": format!("a {role}"), "role": role, "group": group});
        let issued = self.post("/v2/tokens", &body).await.expect(201);
        issued.body["token"].as_str().unwrap().to_owned()
    }

    /// A request by the admin.
    pub(crate) fn request(&self, method: Method, path: &str) -> Call {
        Call {
            router: self.router.clone(),
            request: Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {}", self.admin))
                .body(Body::empty())
                .unwrap(),
        }
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.request(Method::GET, path).send().await
    }

    /// POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Heard {
        self.request(Method::POST, path).json(body).send().await
    }

    /// PUT of JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Heard {
        self.request(Method::PUT, path).json(body).send().await
    }

    /// PATCH of JSON.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Heard {
        self.request(Method::PATCH, path).json(body).send().await
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Heard {
        self.request(Method::DELETE, path).send().await
    }
}

impl Site {
    async fn router(&self, bus: &CommandBus, database: Location) -> Router {
        let spawner: Arc<dyn Spawner> = Arc::new(self.tasks.clone());
        let projections = Projections::open(projections::Options {
            database,
            holder: "a test".to_owned(),
            log: Arc::clone(&self.log),
            keyring: Arc::clone(&self.keyring),
            clock: Arc::clone(&self.clock),
            spawner: Arc::clone(&spawner),
            health: Arc::new(()),
        });
        let projections = projections.await.unwrap();
        let tail = self.log.tail().await.unwrap();
        projections.caught_up_to(tail).await.unwrap();
        let parts = Parts {
            commands: bus.clone(),
            projections,
            nodes: Arc::new(surroundings::nodes(spawner, Arc::clone(&self.clock))),
            log: Arc::clone(&self.log),
            keyring: Arc::clone(&self.keyring),
            heads: signed_head(),
            signing: Arc::new(signing_key()),
            clock: Arc::clone(&self.clock),
            entropy: commands::entropy::seed,
            health: Arc::new(Conditions::default()),
            metrics: metrics(),
            settings: Settings {
                control_plane_endpoint: "https://127.0.0.1:8005".to_owned(),
                telemetry_endpoint: "https://127.0.0.1:8005".to_owned(),
                durability_unverified: Some("the log is in memory".to_owned()),
                node_retention: std::time::Duration::from_secs(3600),
                group_retention: Some(std::time::Duration::from_secs(24 * 3600)),
                request_rates: RequestRates {
                    per_token: Rate::UNLIMITED,
                    per_address: Rate::UNLIMITED,
                },
                request_memory: 768 << 20,
                forwarding: api::config::Forwarding::default(),
            },
            draining: self.tasks.token().child_token(),
            shutdown: self.tasks.token().clone(),
        };
        routers(parts, &self.tasks).api
    }
}

/// What this installation signs with.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[5; 32])
}

/// A head that stays: logs in memory have no witness.
fn signed_head() -> Heads {
    let head = LogHead {
        log: Uuid::from_u128(1),
        position: Position(1),
        digest: Digest::ZERO,
        at: Timestamp(0),
    };
    let signed = SignedHead::sign(head, &signing_key());
    tokio::sync::watch::Sender::new(Some(signed)).subscribe()
}

fn first_start(organization: u128, admin: token::TokenHash) -> FirstStart {
    FirstStart {
        log_id: Uuid::from_u128(1),
        organization: OrganizationId(Uuid::from_u128(organization)),
        name: "first".to_owned(),
        authority: authority::create(SystemClock.now()).unwrap(),
        admin,
    }
}

/// One recorder for the process, as the program has.
fn metrics() -> metrics_exporter_prometheus::PrometheusHandle {
    static HANDLE: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
        .clone()
}

/// A request being written.
pub(crate) struct Call {
    router: Router,
    request: Request<Body>,
}

impl Call {
    /// With another token.
    pub(crate) fn with_token(self, token: &str) -> Self {
        self.without("authorization")
            .header("authorization", &format!("Bearer {token}"))
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    /// With a body of some media type.
    pub(crate) fn bytes(self, media_type: &str, body: impl Into<Body>) -> Self {
        let mut call = self.header("content-type", media_type);
        *call.request.body_mut() = body.into();
        call
    }

    /// Sends it and answers the body of a success, which may not end.
    pub(crate) async fn open(self) -> Body {
        let response = self.router.oneshot(self.request).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.into_body()
    }

    /// Sends it. A stream of events has no end: it is left unread.
    pub(crate) async fn send(self) -> Heard {
        let said = format!("{} {}", self.request.method(), self.request.uri());
        let response = self.router.oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type");
        let body = match kind.is_some_and(|kind| kind == "text/event-stream") {
            true => Body::empty(),
            false => body,
        };
        let text = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Heard {
            said,
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Heard {
    said: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; null if it isn't.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Heard {
    /// The same, after checking its status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.said, self.text);
        self
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
