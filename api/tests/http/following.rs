//! Following a group: its events as they happen, and how far a version has got.

use axum::body::Body;
use axum::http::Method;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::app::App;

const GROUP: &str = "/v2/runtime-groups/default";

/// Events of a stream, read one by one.
pub(crate) struct Events {
    body: axum::body::BodyDataStream,
    unread: String,
}

impl Events {
    pub(crate) fn of(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            unread: String::new(),
        }
    }

    /// The next event's id and data.
    pub(crate) async fn next(&mut self) -> (u64, Value) {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap()
                        .trim()
                };
                let read = (
                    field("id:").parse().unwrap(),
                    serde_json::from_str(field("data:")).unwrap(),
                );
                self.unread = rest.to_owned();
                return read;
            }
            let more = self.body.next().await.unwrap().unwrap();
            self.unread.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// Reads on until the stream is over, which it is only when the process ends.
    pub(crate) async fn ended(mut self) {
        while let Some(more) = self.body.next().await {
            more.unwrap();
        }
    }
}

async fn change(app: &App, port: u16) {
    let path = format!("{GROUP}/core-entities/services/s");
    app.put(&path, &json!({"host": "h", "port": port}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_follower_hears_every_change_and_goes_on_where_it_was() {
    let app = App::start().await;
    change(&app, 1).await;
    let path = format!("{GROUP}/events");
    let mut new = Events::of(app.request(Method::GET, &path).open().await);
    for port in 2..=300 {
        change(&app, port).await;
    }
    for version in 2..=300 {
        let (id, event) = new.next().await;
        assert_eq!(id, version);
        assert_eq!(event["version"], version);
        assert_eq!(event["events"][0]["name"], "s");
    }
    let back = app.request(Method::GET, &path).header("last-event-id", "298");
    let mut back = Events::of(back.open().await);
    assert_eq!(back.next().await.0, 299);
    assert_eq!(back.next().await.0, 300);
    let ahead = app.request(Method::GET, &path).header("last-event-id", "999");
    ahead.send().await.expect(404);
    app.end();
    new.ended().await;
}

#[tokio::test]
async fn a_follower_may_hear_of_some_changes_only() {
    let app = App::start().await;
    let path = format!("{GROUP}/events?kind=consumers");
    let mut consumers = Events::of(app.request(Method::GET, &path).open().await);
    for port in 1..=150 {
        change(&app, port).await;
    }
    let ada = format!("{GROUP}/core-entities/consumers/ada");
    app.put(&ada, &json!({})).await.expect(200);
    let (id, event) = consumers.next().await;
    assert_eq!((id, &event["events"][0]["kind"]), (151, &json!("consumers")));
    let refused = app.get(&format!("{GROUP}/events?since=1")).await;
    refused.expect(400);
}

#[tokio::test]
async fn history_is_read_in_pages_the_newest_first() {
    let app = App::start().await;
    for port in 1..=5 {
        change(&app, port).await;
    }
    let page = |number| format!("{GROUP}/versions?page[size]=2&page[number]={number}");
    let versions = |heard: &Value| -> Vec<u64> {
        let data = heard["data"].as_array().unwrap().iter();
        data.map(|change| change["version"].as_u64().unwrap()).collect()
    };
    assert_eq!(versions(&app.get(&page(1)).await.body), [5, 4]);
    assert_eq!(versions(&app.get(&page(3)).await.body), [1]);
    assert_eq!(versions(&app.get(&page(4)).await.body), [0_u64; 0]);
}
