//! What one caller asks for leaves enough for the others: processors, memory, and requests by the second.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::token::{self, Role};
use reqwest::{Body, StatusCode};
use serde_json::json;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::task::TaskTracker;

/// More dear requests of one caller than may wait.
const DEAR: usize = 100;
/// How many services are compared in each.
const SERVICES: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn dear_requests_of_one_caller_keep_nobody_else_waiting() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let (api, other) = (server.api(), another_admin(&server).await);
    api.create_group("dear").await;
    other.create_group("cheap").await;
    let services: Vec<_> = (0..SERVICES)
        .map(|number| json!({ "name": format!("s{number}"), "host": "s.test" }))
        .collect();
    let file = Bytes::from(json!({ "_format_version": "3.0", "services": services }).to_string());
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut asking = JoinSet::new();
    for _ in 0..DEAR {
        // Again and again: how fast this machine answers one decides when too many wait.
        let (tell, api, file) = (tell.clone(), api.clone(), file.clone());
        asking.spawn(async move {
            loop {
                let dear = api.post("/v2/runtime-groups/dear/diff", &json!({}));
                if tell.send(dear.bytes(file.clone()).await).is_err() {
                    return;
                }
            }
        });
    }
    drop(tell);
    let refused = loop {
        let answer = told.recv().await.expect("they go on asking");
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            break answer;
        }
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    };
    assert!(refused.text().contains("overloaded"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());

    let service = json!({ "name": "orders", "host": "orders.test" });
    let orders = other.group("cheap").put("services/orders", &service).await;
    assert!(orders.status.is_success(), "{}", orders.text());
    let cheap = other.post(
        "/v2/runtime-groups/cheap/diff",
        &json!({ "_format_version": "3.0" }),
    );
    cheap.await.expect_status(200);
    while let Ok(answer) = told.try_recv() {
        assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_one_caller_leave_memory_to_the_others() {
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&["--request-memory", "32"]);
    server.start_again();
    server.ready().await;
    let (api, other) = (server.api(), another_admin(&server).await);
    api.create_group("greedy").await;
    // A byte counts for eight, and one caller gets half of the 32 MiB.
    let whole = vec![b' '; 1 << 20];
    let too_large = api
        .post("/v2/runtime-groups/greedy/transactions", &json!({}))
        .bytes(whole.repeat(3));
    let refused = too_large.await.expect_status(413);
    assert!(
        refused.text().contains("--request-memory is 32 MiB"),
        "{}",
        refused.text()
    );

    // Nearly all of it: a request that was just answered may still have some.
    let most = vec![b' '; (1 << 20) - (1 << 15)];
    let mut uploads = [
        upload(&api, "greedy", &most).await,
        upload(&api, "greedy", &most).await,
    ];
    let refused = eventually("the caller's memory is used up", async || {
        for uploading in &mut uploads {
            // It came while an attempt of the loop's own had its memory.
            if uploading.answered.is_finished() {
                *uploading = upload(&api, "greedy", &most).await;
            }
        }
        let answer = api
            .post("/v2/runtime-groups", &json!({ "name": "x".repeat(200_000) }))
            .await;
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => Ok(answer),
            _ => Err(answer.text()),
        }
    })
    .await;
    assert!(refused.text().contains("request-memory"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    other.create_group("modest").await;

    drop(uploads);
    eventually("the memory is given back", async || {
        let answer = api
            .post("/v2/runtime-groups", &json!({ "name": "x".repeat(200_000) }))
            .await;
        match answer.status {
            StatusCode::BAD_REQUEST => Ok(()),
            _ => Err(answer.text()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_many_requests_hears_when_to_go_on_and_others_go_on() {
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&["--requests-per-token", "2"]);
    server.start_again();
    server.ready().await;
    let (api, other) = (server.api(), another_admin(&server).await);
    let refused = eventually("the token is throttled", async || {
        let asked = Instant::now();
        let answer = api.get("/v2/runtime-groups").await;
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => {
                let held_back = Duration::from_millis(500);
                assert!(
                    asked.elapsed() >= held_back,
                    "who doesn't care for answers is slowed"
                );
                Ok(answer)
            }
            status => Err(status),
        }
    })
    .await;
    assert_eq!(refused.header("retry-after"), Some("1"), "{}", refused.text());
    other.get("/v2/runtime-groups").await.expect_status(200);
    eventually("the token works again", async || {
        match api.get("/v2/runtime-groups").await.status {
            StatusCode::OK => Ok(()),
            status => Err(status),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_slowed_and_named_once_while_good_tokens_go_on_working() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    api.get("/v2/runtime-groups").await.expect_status(200);
    let mut seed = [0; 32];
    let slowed = eventually("guessing is slowed", async || {
        seed[0] += 1;
        let guess = api.with_token(token::write(Role::Admin, seed).expose());
        let answer = guess.get("/v2/runtime-groups").await;
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => Ok(answer),
            status => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                Err(status)
            }
        }
    })
    .await;
    assert!(slowed.text().contains("guessing"), "{}", slowed.text());
    assert!(slowed.header("retry-after").is_some());
    api.get("/v2/runtime-groups").await.expect_status(200);

    let metrics = reqwest::get(format!("{}/metrics", server.operations_url())).await;
    let metrics = metrics
        .expect("metrics are answered")
        .text()
        .await
        .expect("metrics are a text");
    let refused = metrics
        .lines()
        .find_map(|line| line.strip_prefix("http_sign_ins_refused_total "));
    let refused: u64 = refused
        .and_then(|count| count.parse().ok())
        .expect("refusals are counted");
    assert!(refused > 100, "{refused}");
    let named = server
        .process()
        .printed()
        .matches("a sign-in was refused")
        .count();
    assert_eq!(named, 1, "{}", server.process().printed());
}

async fn another_admin(server: &ServerProcess) -> ApiClient {
    let body = json!({ "name": "another", "role": "admin" });
    let made = server
        .api()
        .post("/v2/tokens", &body)
        .await
        .expect_status(201)
        .json();
    server.api_as(made["token"].as_str().expect("a new token is shown"))
}

/// A transaction whose body has begun to come, and goes on as long as this lives.
struct Upload {
    answered: JoinHandle<reqwest::Result<reqwest::Response>>,
    _more: mpsc::Sender<Bytes>,
}

async fn upload(api: &ApiClient, group: &str, first: &[u8]) -> Upload {
    let (more, mut coming) = mpsc::channel::<Bytes>(1);
    let body = futures::stream::poll_fn(move |context| {
        coming
            .poll_recv(context)
            .map(|piece| piece.map(Ok::<_, std::io::Error>))
    });
    let request = reqwest::Client::new()
        .post(format!("{}/v2/runtime-groups/{group}/transactions", api.base()))
        .bearer_auth(api.token())
        .header("content-type", "application/json")
        .body(Body::wrap_stream(body));
    let answered = TaskTracker::new().spawn(request.send());
    let sent = more.send(first.to_vec().into()).await;
    sent.expect("the body is being sent");
    Upload {
        answered,
        _more: more,
    }
}
