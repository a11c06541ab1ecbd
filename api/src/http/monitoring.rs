//! Health, readiness and metrics where no user comes: without tokens, and without waiting for anything that users keep busy.
//!
//! The router may run on another runtime than the program's. Whether the program is ready is asked there, by a task of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use commands::tasks::Tasks;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::answer::Answer;
use super::operations::{self, METRICS_TEXT};
use super::services::Services;

/// How many may ask at once whether the program is ready; they share one answer.
const ASKING: usize = 64;
/// How long the program may take to say: longer than each of its checks, shorter than a load balancer's patience.
const PATIENCE: Duration = Duration::from_secs(4);

type Readiness = (StatusCode, Value);

#[derive(Clone)]
struct Monitoring {
    services: Arc<Services>,
    readiness: mpsc::Sender<oneshot::Sender<Readiness>>,
}

/// The router, for as long as the tasks run.
pub(crate) fn router(services: &Arc<Services>, tasks: &Tasks) -> Router {
    let (readiness, asked) = mpsc::channel(ASKING);
    let (stop, asking) = (tasks.token().clone(), Arc::clone(services));
    tasks.spawn("readiness", async move {
        stop.run_until_cancelled(answer(asking, asked)).await;
    });
    let monitoring = Monitoring {
        services: Arc::clone(services),
        readiness,
    };
    Router::new()
        .route(
            "/healthz",
            get(async || Answer::ok(&json!({ "status": "ok" })).into_response()),
        )
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(monitoring)
}

async fn answer(services: Arc<Services>, mut asked: mpsc::Receiver<oneshot::Sender<Readiness>>) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, ASKING).await > 0 {
        let readiness = operations::readiness(&services).await;
        for asker in waiting.drain(..) {
            // Who asked may have gone.
            let _ = asker.send(readiness.clone());
        }
    }
}

async fn readyz(State(monitoring): State<Monitoring>) -> Response<Body> {
    let ask = async {
        let (asker, answer) = oneshot::channel();
        monitoring.readiness.send(asker).await.ok()?;
        answer.await.ok()
    };
    let (status, body) = match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Some(readiness)) => readiness,
        Ok(None) => not_ready("the program ends"),
        Err(_) => not_ready(&format!(
            "no answer within {} s: the program is busy",
            PATIENCE.as_secs()
        )),
    };
    Answer::json(status, &body).into_response()
}

fn not_ready(reason: &str) -> Readiness {
    let body = json!({ "status": "not ready", "reason": reason });
    (StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn metrics(State(monitoring): State<Monitoring>) -> Response<Body> {
    let text = monitoring.services.metrics.render();
    Answer::text(StatusCode::OK, METRICS_TEXT, text).into_response()
}
