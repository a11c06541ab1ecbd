//! What a request costs grows with its size and not with the square of it: whatever is sent ten times as long takes the server
//! about ten times the work. Counted is the server's own processor time, whatever else the machine is busy with; a
//! quadratic piece takes a hundred times as much.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient};
use tests::process_usage::{peak_resident, processor_time};
use tests::server_process::{Log, ServerProcess};

/// How many elements the short and the long request have.
const SHORT: usize = 3_000;
const LONG: usize = 10 * SHORT;
/// How much more work the long one may be: linear work with all that surrounds it stays far below, quadratic work far above.
const FACTOR: u32 = 40;
/// Less work than this is noise.
const LEAST: Duration = Duration::from_millis(4);
/// How often a request is measured: the least work that it took is its own.
const ROUNDS: usize = 4;

/// A request with so many elements of something.
struct Case {
    name: &'static str,
    path: &'static str,
    media_type: &'static str,
    body: fn(usize) -> String,
}

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

const CASES: [Case; 17] = [
    Case::new(
        "a form of many fields",
        "/groups/default/admin/services",
        FORM,
        |n| {
            let fields = (0..n).map(|field| format!("f{field}=1"));
            fields.collect::<Vec<_>>().join("&")
        },
    ),
    Case::new(
        "a form that repeats a list",
        "/groups/default/admin/services",
        FORM,
        |n| "tags[]=t&".repeat(n),
    ),
    Case::new(
        "a multipart form of many parts",
        "/groups/default/admin/services",
        MULTIPART,
        |n| {
            let part =
                |number| format!("--b\r\nContent-Disposition: form-data; name=\"f{number}\"\r\n\r\n1\r\n");
            (0..n).map(part).collect::<String>() + "--b--\r\n"
        },
    ),
    Case::new("different tags", "/groups/default/admin/services", JSON, |n| {
        json!({"host": "h", "tags": numbered("t", n), "port": 0}).to_string()
    }),
    Case::new("the same tag", "/groups/default/admin/services", JSON, |n| {
        json!({"host": "h", "tags": vec!["t"; n], "port": 0}).to_string()
    }),
    Case::new("paths of a route", "/groups/default/admin/routes", JSON, |n| {
        json!({"paths": numbered("/p", n), "strip_path": 1}).to_string()
    }),
    Case::new("hosts of a route", "/groups/default/admin/routes", JSON, |n| {
        json!({"hosts": numbered("h", n), "strip_path": 1}).to_string()
    }),
    Case::new("methods of a route", "/groups/default/admin/routes", JSON, |n| {
        json!({"methods": vec!["GET"; n], "paths": ["/"], "strip_path": 1}).to_string()
    }),
    Case::new("headers of a route", "/groups/default/admin/routes", JSON, |n| {
        let headers: serde_json::Map<_, _> = (0..n)
            .map(|header| (format!("x{header}"), json!(["1"])))
            .collect();
        json!({"headers": headers, "strip_path": 1}).to_string()
    }),
    Case::new(
        "wrong elements of a list",
        "/groups/default/admin/services",
        JSON,
        |n| json!({"host": "h", "tags": vec![1; n]}).to_string(),
    ),
    Case::new("unknown fields", "/groups/default/admin/services", JSON, |n| {
        let fields: serde_json::Map<_, _> = (0..n).map(|field| (format!("f{field}"), json!(1))).collect();
        Value::Object(fields).to_string()
    }),
    Case::new(
        "records of a plugin",
        "/groups/default/admin/plugins",
        JSON,
        |n| {
            let tags: Vec<_> = (0..n)
                .map(|tag| json!({"name": format!("t{tag}"), "value": "v"}))
                .collect();
            json!({"name": "zipkin", "config": {"static_tags": tags, "sample_ratio": 7}}).to_string()
        },
    ),
    Case::new(
        "unfinished templates of a plugin",
        "/groups/default/admin/plugins",
        JSON,
        |n| {
            let template = format!("a:{}", "$(".repeat(n));
            json!({"name": "request-transformer", "config": {"add": {"headers": [template]}, "http_method": 1}}).to_string()
        },
    ),
    Case::new(
        "names that a certificate lists",
        "/groups/default/admin/certificates",
        JSON,
        |n| json!({"cert": "c", "key": "k", "snis": numbered("s", n)}).to_string(),
    ),
    Case::new(
        "operations of a transaction",
        "/v2/runtime-groups/default/transactions",
        JSON,
        |n| {
            let operation = |number| json!({"method": "POST", "path": "/services", "body": {"name": format!("s{number}"), "host": 1}});
            json!({"dry_run": true, "operations": (0..n).map(operation).collect::<Vec<_>>()}).to_string()
        },
    ),
    Case::new(
        "plugins on a service of many routes, in a file",
        "/v2/runtime-groups/default/apply?dry_run",
        YAML,
        |n| {
            let n = n / 10;
            let mut file = "_format_version: '3.0'\nservices:\n- name: s\n  host: h\n  routes:\n".to_owned();
            for number in 0..n {
                // Writing to a String can't fail.
                let _ = writeln!(
                    file,
                    "  - name: r{number}\n    protocols: [tcp]\n    destinations: [{{port: 1}}]"
                );
            }
            file.push_str("  - name: web\n    paths: [/]\nconsumers:\n");
            for number in 0..n {
                let _ = writeln!(
                    file,
                    "- username: c{number}\n  plugins:\n  - name: request-termination\n    service: s"
                );
            }
            file
        },
    ),
    Case::new(
        "select tags of a file",
        "/v2/runtime-groups/default/apply?dry_run",
        YAML,
        |n| {
            let tags = numbered("t", n / 2).join(", ");
            let own = numbered("o", n / 4).join(", ");
            format!(
                "_format_version: '3.0'\n_info: {{select_tags: [{tags}]}}\nservices:\n- {{name: s, host: h, port: 0, tags: [{own}]}}\n"
            )
        },
    ),
];

impl Case {
    const fn new(
        name: &'static str,
        path: &'static str,
        media_type: &'static str,
        body: fn(usize) -> String,
    ) -> Self {
        Self {
            name,
            path,
            media_type,
            body,
        }
    }

    async fn send(&self, api: &ApiClient, elements: usize) -> Answer {
        let call = api.call(Method::POST, self.path);
        call.body(self.media_type, (self.body)(elements)).await
    }

    /// The least work that the server does for it.
    async fn work(&self, server: &ServerProcess, api: &ApiClient, elements: usize) -> Duration {
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let before = processor_time(server.pid());
            let answer = self.send(api, elements).await;
            assert!(answer.status.as_u16() < 500, "{}: {}", self.name, answer.status);
            least = least.min(processor_time(server.pid()).saturating_sub(before));
        }
        least.max(LEAST)
    }
}

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_elements_are_about_ten_times_the_work() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    for case in &CASES {
        let short = case.work(&server, &api, SHORT).await;
        let long = case.work(&server, &api, LONG).await;
        assert!(
            long < short * FACTOR,
            "{}: {SHORT} elements took {short:?} of the processor, {LONG} elements {long:?}",
            case.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_many_faults_is_answered_with_few_errors() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    for case in &CASES {
        let answer = case.send(&api, LONG).await;
        // What is accepted in a dry run tells what it would do.
        if answer.status.as_u16() >= 400 {
            let length = answer.text().len();
            assert!(length < 400_000, "{}: an answer of {length} bytes", case.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_too_many_values_is_refused_and_takes_no_room() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    let numbers = format!("[{}0]", "0,".repeat(10_000_000));
    let entity = format!("{{\"_format_version\":\"3.0\",\"services\":[{{\"tags\":{numbers}}}]}}");
    let transaction = format!("{{\"operations\":{numbers}}}");
    let group = "/v2/runtime-groups/default";
    let before = peak_resident(server.pid());
    for (path, body) in [
        ("diff", &numbers),
        ("diff", &entity),
        ("apply?dry_run", &numbers),
        ("apply?dry_run", &entity),
        ("transactions", &transaction),
    ] {
        for media_type in [JSON, YAML] {
            let call = api.call(Method::POST, &format!("{group}/{path}"));
            let answer = call.body(media_type, body.clone()).await;
            let status = answer.status.as_u16();
            assert!(
                [400, 413, 415].contains(&status),
                "{path}, {media_type}: {}",
                answer.text()
            );
        }
    }
    let mebibytes = (peak_resident(server.pid()) - before) >> 20;
    // Twice the body as bytes, and at most two million values; as values all of it would be more than a thousand.
    assert!(mebibytes < 500, "{mebibytes} MiB for a body of 20 MB");
}
