//! One group's history for an auditor: every change with what it did, as signed lines that can be checked without this program.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use domain::Version;
use domain::organization::GroupRecord;
use domain::signing::SigningKey;
use futures::stream;
use projections::ProjectionError;
use projections::audit::GroupHistory;
use serde_json::json;
use tracing::error;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::exchange::Exchange;
use super::groups;
use super::history_lines::{Lines, Subject};
use super::moment;
use super::refusal::Refusal;

/// After how many bytes a piece of the answer is sent.
const PIECE: usize = 64 * 1024;

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    Endpoint::new(
        Method::GET,
        format!("{prefix}/{{group}}/history/export"),
        Permission::ReadHistory,
        "Export a group's history for an auditor: JSON lines, chained by SHA-256 and signed; secrets are never in it",
        export,
    )
    .reads(&[
        query("from", "the first version; 1 if not said"),
        query("to", "the last version; the newest if not said"),
    ])
    .in_media("application/jsonl")
    .answers(200, json!({ "type": "string" }))
}

async fn export(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let from = exchange.query.number("from")?.unwrap_or(1);
    let to = moment::existing(exchange.query.number("to")?.unwrap_or(newest), newest)?;
    if from == 0 || from > to.max(1) {
        return Err(Refusal::invalid(
            "from",
            "between",
            "must be 1 or more, and not after `to`",
        ));
    }
    let (organization, group) = exchange.place()?;
    let services = &exchange.services;
    let system = services.commands.system_state().await;
    let system = system.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let mut lines = Lines::default();
    let subject = Subject {
        log: system.state.log_id,
        organization,
        group: exchange.group()?,
        from,
        to,
        at: services.clock.now(),
    };
    let header = lines.header(&subject, &services.signing);
    let exporting = Exporting {
        history: GroupHistory::of(&*services.log, Arc::clone(&services.keyring), group),
        group: Arc::clone(exchange.group()?),
        signing: Arc::clone(&services.signing),
        waiting: BytesMut::from(header.as_ref()),
        lines,
        from,
        to,
        read: 0,
    };
    let pieces = stream::unfold(Some(exporting), |exporting| async {
        let mut exporting = exporting?;
        match exporting.next_piece().await {
            Ok((piece, true)) => Some((Ok(piece), None)),
            Ok((piece, false)) => Some((Ok(piece), Some(exporting))),
            // The answer breaks off: without its last line nobody takes it for whole.
            Err(failure) => {
                error!(group = %exporting.group.id.0, %failure, "an export of a history broke off");
                Some((Err(failure), None))
            }
        }
    });
    Ok(Answer::stream(StatusCode::OK, "application/jsonl", Body::from_stream(pieces)).at_version(newest))
}

/// An export on its way.
struct Exporting {
    history: GroupHistory,
    group: Arc<GroupRecord>,
    signing: Arc<SigningKey>,
    lines: Lines,
    /// What is written and not sent.
    waiting: BytesMut,
    from: Version,
    to: Version,
    /// The last version that was read.
    read: Version,
}

impl Exporting {
    /// The next piece, and whether it is the last.
    async fn next_piece(&mut self) -> Result<(Bytes, bool), ProjectionError> {
        while self.waiting.len() < PIECE && self.read < self.to {
            let Some(change) = self.history.next().await? else {
                break;
            };
            self.read = change.change.version;
            if self.read >= self.from {
                self.waiting.extend_from_slice(&self.lines.change(&change));
            }
        }
        let last = self.waiting.len() < PIECE || self.read >= self.to;
        if last {
            self.waiting.extend_from_slice(&self.lines.end(&self.signing));
        }
        Ok((self.waiting.split().freeze(), last))
    }
}
