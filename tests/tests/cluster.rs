//! Several processes over one log in NATS and one PostgreSQL database: any may die or freeze.

use serde_json::json;
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::server_process::ServerProcess;

/// Two ready processes of one installation.
async fn two(nats: &NatsServer, database: &str) -> [ServerProcess; 2] {
    let mut first = ServerProcess::prepare(nats.log()).with_database(database);
    first.start_again();
    first.ready().await;
    let mut second = ServerProcess::prepare(nats.log()).with_database(database);
    second.take_master_key_of(&first);
    second.start_again();
    second.ready().await;
    [first, second]
}

/// A service's host as a process answers it.
async fn host(server: &ServerProcess, token: &str) -> Result<String, String> {
    let address = format!("{}/groups/default/admin/services/orders", server.url());
    let asked = reqwest::Client::new().get(address).bearer_auth(token);
    let answer = asked.send().await.map_err(|error| error.to_string())?;
    let text = answer.text().await.map_err(|error| error.to_string())?;
    let body: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    body["host"].as_str().map(str::to_owned).ok_or(text)
}

async fn answers_with(server: &ServerProcess, token: &str, expected: &str) {
    eventually(&format!("{expected} is answered"), async || {
        match host(server, token).await {
            Ok(host) if host == expected => Ok(()),
            Ok(other) | Err(other) => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn what_one_process_acknowledged_the_other_answers_at_once() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let servers = two(&nats, &database).await;
    let token = servers[0].admin_token();
    for number in 0..20 {
        let expected = format!("h{number}.test");
        let (writer, reader) = (&servers[number % 2], &servers[(number + 1) % 2]);
        let body = json!({"name": "orders", "host": expected});
        writer
            .api_as(&token)
            .group("default")
            .put("services/orders", &body)
            .await
            .expect_status(200);
        assert_eq!(
            host(reader, &token).await,
            Ok(expected),
            "read your writes, on every process"
        );
    }
}

#[tokio::test]
async fn groups_and_tokens_made_on_one_process_work_on_the_other_at_once() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let servers = two(&nats, &database).await;
    let admin = servers[0].admin_token();
    for number in 0..10 {
        let (here, there) = (&servers[number % 2], &servers[(number + 1) % 2]);
        let (here, there) = (here.api_as(&admin), there.api_as(&admin));
        let name = format!("group-{number}");
        here.create_group(&name).await;
        let service = json!({"name": "orders", "host": "orders.test"});
        there
            .group(&name)
            .post("services", &service)
            .await
            .expect_status(201);

        let wanted = json!({"name": format!("token-{number}"), "role": "viewer"});
        let made = here.post("/v2/tokens", &wanted).await.expect_status(201).json();
        let viewer = there.with_token(made["token"].as_str().expect("a new token is shown"));
        viewer
            .group(&name)
            .get("services/orders")
            .await
            .expect_status(200);

        let id = made["id"].as_str().expect("a token has an id");
        here.delete(&format!("/v2/tokens/{id}")).await.expect_status(204);
        eventually(
            "the revoked token opens nothing on the other process",
            async || match viewer.group(&name).get("services/orders").await {
                answer if answer.status == 401 => Ok(()),
                answer => Err(answer.text()),
            },
        )
        .await;
    }
}

#[tokio::test]
async fn when_the_process_that_projects_dies_or_freezes_the_other_goes_on() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let mut servers = two(&nats, &database).await;
    let token = servers[0].admin_token();
    let put = async |server: &ServerProcess, host: &str| {
        let body = json!({"name": "orders", "host": host});
        server
            .api_as(&token)
            .group("default")
            .put("services/orders", &body)
            .await
            .expect_status(200);
    };
    put(&servers[0], "both.test").await;
    // The first one started, so it projects.
    servers[0].process().pause();
    put(&servers[1], "frozen.test").await;
    answers_with(&servers[1], &token, "frozen.test").await;
    servers[0].process().proceed();
    answers_with(&servers[0], &token, "frozen.test").await;
    put(&servers[0], "thawed.test").await;
    answers_with(&servers[1], &token, "thawed.test").await;
    // Now the second one projects.
    servers[1].kill9();
    put(&servers[0], "alone.test").await;
    answers_with(&servers[0], &token, "alone.test").await;
    servers[1].start_again();
    servers[1].ready().await;
    answers_with(&servers[1], &token, "alone.test").await;
}

/// Waits until `doctor`, asked beside a process, says this of who projects.
async fn doctor_says(server: &ServerProcess, expected: &str) {
    let mut arguments = vec!["doctor".to_owned(), "--url".to_owned(), server.url()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    eventually(&format!("doctor says: {expected}"), async || {
        let report = CommandLine::new().run(&arguments).await.expect_code(0).stdout();
        let said = report.lines().any(|line| line.ends_with(expected));
        said.then_some(()).ok_or(report)
    })
    .await;
}

#[tokio::test]
async fn each_process_says_which_one_projects() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let [mut first, second] = two(&nats, &database).await;
    let holder = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let holder = format!("process {} on {holder}", first.pid());
    doctor_says(&first, "projects the views: yes").await;
    doctor_says(&second, &format!("projects the views: no (held by {holder})")).await;
    let asked = reqwest::get(format!("{}/readyz", second.url()))
        .await
        .expect("an answer");
    let readiness: serde_json::Value =
        serde_json::from_str(&asked.text().await.expect("a body")).expect("JSON");
    assert_eq!(readiness["checks"]["projections"]["projected_here"], false);
    assert_eq!(readiness["checks"]["projections"]["projected_by"], json!(holder));
    first.kill9();
    doctor_says(&second, "projects the views: yes").await;
}

#[tokio::test]
async fn the_views_are_rebuilt_while_processes_run() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let servers = two(&nats, &database).await;
    let token = servers[0].admin_token();
    for round in 0..3 {
        let body = json!({"name": "orders", "host": format!("h{round}.test")});
        servers[0]
            .api_as(&token)
            .group("default")
            .put("services/orders", &body)
            .await
            .expect_status(200);
        let mut arguments = vec!["rebuild".to_owned()];
        arguments.extend(servers[0].storage_arguments());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        CommandLine::new().run(&arguments).await.expect_code(0);
        for server in &servers {
            answers_with(server, &token, &format!("h{round}.test")).await;
        }
    }
}

#[tokio::test]
async fn the_databases_password_is_never_shown() {
    let nats = NatsServer::start(Options::default()).await;
    let wrong = PostgresServer::shared()
        .url("nothing_here")
        .replace("secret", "hunter2");
    let mut server = ServerProcess::prepare(nats.log()).with_database(&wrong);
    server.start_again();
    assert!(!server.process().ended().await.success());
    let printed = server.process().printed();
    assert!(printed.contains("password authentication failed"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn what_one_process_acknowledged_is_an_event_of_the_others_streams() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let servers = two(&nats, &database).await;
    let token = servers[0].admin_token();
    let follow = |server: &ServerProcess| {
        let address = format!("{}/v2/runtime-groups/default/events?after=0", server.url());
        reqwest::Client::new().get(address).bearer_auth(&token).send()
    };
    let mut streams = Vec::new();
    for server in &servers {
        streams.push(follow(server).await.expect("a stream opens"));
    }
    for number in 1..=4_u64 {
        let writer = &servers[(number % 2) as usize];
        let body = json!({"name": "orders", "host": format!("h{number}.test")});
        let group = writer.api_as(&token).group("default");
        group.put("services/orders", &body).await.expect_status(200);
        for stream in &mut streams {
            let mut read = String::new();
            while !read.contains(&format!("id: {number}\n")) && !read.contains(&format!("id:{number}\n")) {
                let piece = stream
                    .chunk()
                    .await
                    .expect("the stream goes on")
                    .expect("it doesn't end");
                read.push_str(&String::from_utf8_lossy(&piece));
            }
        }
    }
}
