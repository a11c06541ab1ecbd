//! The changes of a group or of the organization as they happen: server-sent events whose ids are versions, so that a reader
//! goes on where it was (`Last-Event-ID`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::{Boundary, Version};
use futures::stream::{self, Stream};
use projections::{ChangeFilter, ChangeRow, Lane, LiveGroup};
use serde_json::json;

use super::answer::Answer;
use super::change_filters::{ABOUT_CHANGES, FILTERS};
use super::endpoint::{Endpoint, Parameter, Permission, header, query};
use super::exchange::Exchange;
use super::groups;
use super::moment;
use super::refusal::Refusal;
use super::services::Services;
use super::versions;

/// How many changes are read from the history at once.
const BATCH: u64 = 100;

const FROM: [Parameter; 2] = [
    query(
        "after",
        "begin with the change after this version; with the next one to come if not said",
    ),
    header(
        "Last-Event-ID",
        "the same, as browsers send it when they come back",
    ),
];

/// The endpoints: of groups, under both prefixes, and of the organization.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let of_group = |prefix: &str| {
        Endpoint::new(
            Method::GET,
            format!("{prefix}/{{group}}/events"),
            Permission::ReadGroup,
            "Follow a group's changes (server-sent events; an event's id is its version)",
            follow_group,
        )
    };
    let of_organization = Endpoint::new(
        Method::GET,
        "/v2/organizations/me/events",
        Permission::ReadOrganization,
        "Follow the organization's changes (server-sent events; an event's id is its version)",
        follow_organization,
    );
    let all = groups::PREFIXES
        .into_iter()
        .map(of_group)
        .chain([of_organization]);
    all.map(|endpoint| {
        endpoint
            .reads(&FROM)
            .reads(&FILTERS[..ABOUT_CHANGES])
            .in_media("text/event-stream")
            .answers(200, json!({ "type": "string" }))
    })
    .collect()
}

async fn follow_group(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?.id;
    let live = exchange.reads().live(group).await?;
    let answer = follow(&exchange, Boundary::Group(group), newest, Some(live)).await?;
    Ok(answer.at_version(newest))
}

async fn follow_organization(exchange: Exchange) -> Result<Answer, Refusal> {
    let (boundary, newest) = exchange.organization_history().await?;
    follow(&exchange, boundary, newest, None).await
}

async fn follow(
    exchange: &Exchange,
    boundary: Boundary,
    newest: Version,
    live: Option<LiveGroup>,
) -> Result<Answer, Refusal> {
    let after =
        match exchange.header("last-event-id")? {
            Some(text) => Some(text.parse::<Version>().map_err(|_| {
                Refusal::bad_request("Last-Event-ID must be a version, as the events' ids are")
            })?),
            None => exchange.query.number("after")?,
        };
    let following = Following {
        filter: exchange.change_filter(boundary).await?,
        live,
        with_secrets: exchange.caller()?.reads_secrets(),
        services: Arc::clone(&exchange.services),
        boundary,
        after: moment::existing(after.unwrap_or(newest), newest)?,
        waiting: VecDeque::new(),
    };
    let changes = changes(following);
    let response = Sse::new(changes).keep_alive(KeepAlive::default()).into_response();
    let (_, body) = response.into_parts();
    Ok(Answer::stream(StatusCode::OK, "text/event-stream", body))
}

struct Following {
    services: Arc<Services>,
    boundary: Boundary,
    /// Tells of a group's changes before the views hold them; an organization's are looked for when the views have moved.
    live: Option<LiveGroup>,
    filter: ChangeFilter,
    /// Whether the reader may read secrets.
    with_secrets: bool,
    /// Everything up to this version has been looked at.
    after: Version,
    waiting: VecDeque<ChangeRow>,
}

fn changes(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(following, |mut following| async move {
        let change = following.next().await?;
        let event = Event::default()
            .event("change")
            .id(change.version.to_string())
            .data(versions::shown(&change, following.with_secrets).to_string());
        Some((Ok(event), following))
    })
}

impl Following {
    /// The next change; none when the process ends or the views fail, whereupon the reader comes back by itself.
    async fn next(&mut self) -> Option<ChangeRow> {
        while self.waiting.is_empty() {
            let shutdown = self.services.shutdown.clone();
            let newest = tokio::select! {
                newest = self.newer() => newest?,
                () = shutdown.cancelled() => return None,
            };
            self.read_up_to(newest).await?;
        }
        self.waiting.pop_front()
    }

    /// Waits until the views hold a change that hasn't been looked at; answers the newest.
    async fn newer(&self) -> Option<Version> {
        let (reads, after) = (self.services.reads(Lane::Serving), self.after);
        let Some(live) = &self.live else {
            return reads.version_above(self.boundary, after).await.ok();
        };
        let mut states = live.subscribe();
        let (version, position) = {
            let newer = states.wait_for(|state| state.group.version > after).await.ok()?;
            (newer.group.version, newer.position)
        };
        reads.caught_up_to(position).await.ok()?;
        Some(version)
    }

    /// Reads as many of the next changes as belong together.
    async fn read_up_to(&mut self, newest: Version) -> Option<()> {
        let last = newest.min(self.after + BATCH);
        let next = ChangeFilter {
            since: Some(self.after + 1),
            ..self.filter.clone()
        };
        let reads = self.services.reads(Lane::Serving);
        let read = reads.history(self.boundary, &next, Some(last + 1), BATCH);
        self.waiting.extend(read.await.ok()?.changes.into_iter().rev());
        self.after = last;
        Some(())
    }
}
