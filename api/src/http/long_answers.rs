//! An answer lives no longer than its credential: one that takes a while is bound to the token it was asked for with, and ends
//! within a second of its revocation or expiry, of a role that doesn't allow it any more, or of its group's deletion.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use domain::organization::GroupRecord;
use domain::token::TokenHash;
use futures::future::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::answer::Answer;
use super::endpoint::Permission;
use super::exchange::Caller;
use super::refusal::Refusal;
use super::services::Services;

/// How often what an answer rests on is looked at again.
const RECHECK: Duration = Duration::from_millis(300);

/// What an answer rests on.
#[derive(Clone)]
pub(crate) struct Grounds {
    pub(crate) services: Arc<Services>,
    pub(crate) token: TokenHash,
    pub(crate) caller: Caller,
    pub(crate) permission: Permission,
    pub(crate) group: Option<Arc<GroupRecord>>,
}

impl Grounds {
    /// What the request is answered with, unless its grounds fall away before.
    pub(crate) async fn hold(
        &self,
        answered: impl Future<Output = Result<Answer, Refusal>>,
    ) -> Result<Answer, Refusal> {
        tokio::select! {
            biased;
            answer = answered => answer,
            () = self.fallen() => {
                let why = "the token or its runtime group doesn't allow this any more: the answer was given up";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, why))
            }
        }
    }

    /// The same answer, whose body ends when its grounds fall away, if it isn't whole already.
    pub(crate) fn bind(self, answer: Answer) -> Answer {
        if answer.is_whole() {
            return answer;
        }
        answer.map_body(|headers, body| {
            let is_events = headers
                .get(CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes() == b"text/event-stream");
            Body::new(BoundBody {
                body,
                fallen: Box::pin(async move { self.fallen().await }),
                ends_well: is_events,
                ended: false,
            })
        })
    }

    /// Ends when the answer has no grounds any more. While they can't be looked up, nobody is cut off for that.
    async fn fallen(&self) {
        loop {
            tokio::time::sleep(RECHECK).await;
            let services = &self.services;
            let now = services.clock.now();
            // Known without asking anybody.
            if !self.caller.token.works_at(now) {
                return;
            }
            let group = self.group.as_deref();
            let stands = services
                .access
                .still_allows(self.token, self.permission, group, services, now);
            if matches!(stands.await, Ok(false)) {
                return;
            }
        }
    }
}

/// An answer cut off before its end.
#[derive(Debug, thiserror::Error)]
#[error("the token or its runtime group doesn't allow this answer any more")]
struct CutOff;

struct BoundBody {
    body: Body,
    fallen: BoxFuture<'static, ()>,
    /// Events may end at any time; whoever reads anything else must see that it isn't whole.
    ends_well: bool,
    ended: bool,
}

impl HttpBody for BoundBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if this.fallen.as_mut().poll(context).is_ready() {
            this.ended = true;
            this.body = Body::empty();
            return Poll::Ready(match this.ends_well {
                true => None,
                false => Some(Err(axum::Error::new(CutOff))),
            });
        }
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
