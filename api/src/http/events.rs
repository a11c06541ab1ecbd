//! A group's changes as they happen: server-sent events whose ids are versions, so that a reader goes on where it was
//! (`Last-Event-ID`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::Version;
use futures::stream::{self, Stream};
use projections::{ChangeRow, LiveGroup};
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, header, query};
use super::exchange::Exchange;
use super::groups;
use super::moment;
use super::refusal::Refusal;
use super::services::Services;
use super::versions;

/// How many changes are read from the history at once.
const BATCH: u64 = 100;

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    let from = [
        query(
            "after",
            "begin with the change after this version; with the next one to come if not said",
        ),
        header(
            "Last-Event-ID",
            "the same, as browsers send it when they come back",
        ),
    ];
    Endpoint::new(
        Method::GET,
        format!("{prefix}/{{group}}/events"),
        Permission::ReadGroup,
        "Follow a group's changes (server-sent events; an event's id is its version)",
        follow,
    )
    .reads(&from)
    .in_media("text/event-stream")
    .answers(200, json!({ "type": "string" }))
}

async fn follow(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let after =
        match exchange.header("last-event-id")? {
            Some(text) => Some(text.parse::<Version>().map_err(|_| {
                Refusal::bad_request("Last-Event-ID must be a version, as the events' ids are")
            })?),
            None => exchange.query.number("after")?,
        };
    let after = moment::existing(after.unwrap_or(newest), newest)?;
    let following = Following {
        live: exchange.services.reads.live(exchange.group()?.id).await?,
        services: Arc::clone(&exchange.services),
        after,
        waiting: VecDeque::new(),
    };
    let changes = changes(following);
    let response = Sse::new(changes).keep_alive(KeepAlive::default()).into_response();
    let (_, body) = response.into_parts();
    Ok(Answer::stream(StatusCode::OK, "text/event-stream", body)
        .with(
            axum::http::header::CACHE_CONTROL,
            axum::http::HeaderValue::from_static("no-cache"),
        )
        .at_version(newest))
}

struct Following {
    services: Arc<Services>,
    live: LiveGroup,
    after: Version,
    waiting: VecDeque<ChangeRow>,
}

fn changes(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(following, |mut following| async move {
        let change = following.next().await?;
        let event = Event::default()
            .event("change")
            .id(change.version.to_string())
            .data(versions::shown(&change).to_string());
        Some((Ok(event), following))
    })
}

impl Following {
    /// The next change; none when the process ends or the views fail, whereupon the reader comes back by itself.
    async fn next(&mut self) -> Option<ChangeRow> {
        if self.waiting.is_empty() {
            self.read_more().await?;
        }
        let change = self.waiting.pop_front()?;
        self.after = change.version;
        Some(change)
    }

    /// Waits until there is a change, and reads as many as belong together.
    async fn read_more(&mut self) -> Option<()> {
        let mut states = self.live.subscribe();
        let after = self.after;
        let position = tokio::select! {
            newer = states.wait_for(|state| state.group.version > after) => newer.ok()?.position,
            () = self.services.shutdown.cancelled() => return None,
        };
        let reads = &self.services.reads;
        reads.caught_up_to(position).await.ok()?;
        let read = reads
            .changes_before(self.live.id(), after + BATCH + 1, BATCH)
            .await
            .ok()?;
        let newer = read.into_iter().rev().filter(|change| change.version > after);
        self.waiting.extend(newer);
        Some(())
    }
}
