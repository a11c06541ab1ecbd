//! Bodies on their way in and out of a connection. One that comes in must keep moving: slowly, if its sender has no more, but
//! never so slowly that it is only there to be waited for.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::http_presence::Presence;
use crate::http::BodyTooSlow;

/// How long a body may stand still.
const BETWEEN_BYTES: Duration = Duration::from_secs(30);
/// From when on a body must have come at the least rate, on the whole.
const FIRST_MINUTE: Duration = Duration::from_secs(60);
/// The least rate, in bytes a second: what the slowest of modems brings.
const LEAST_RATE: u64 = 256;

/// A request's body as it comes in.
pub(super) struct PacedBody {
    body: Incoming,
    presence: Arc<Presence>,
    /// Set when somebody wants the body, and at each of its pieces.
    deadline: Option<Pin<Box<Sleep>>>,
    wanted_since: Option<Instant>,
    received: u64,
    ended: bool,
}

impl PacedBody {
    /// Waits for this body.
    pub(super) const fn new(body: Incoming, presence: Arc<Presence>) -> Self {
        Self {
            body,
            presence,
            deadline: None,
            wanted_since: None,
            received: 0,
            ended: false,
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.presence.body_ended();
        }
    }

    /// When the next piece must be here.
    fn due(&self, now: Instant) -> Instant {
        let wanted_since = self.wanted_since.unwrap_or(now);
        let on_the_whole = wanted_since + FIRST_MINUTE + Duration::from_secs(self.received / LEAST_RATE);
        on_the_whole.min(now + BETWEEN_BYTES)
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.deadline = None;
                this.presence.body_moved();
                if this.body.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                this.end();
                Poll::Ready(ended.map(|frame| frame.map_err(axum::Error::new)))
            }
            Poll::Pending => {
                let now = Instant::now();
                this.wanted_since.get_or_insert(now);
                let due = this.due(now);
                let deadline = this.deadline.get_or_insert_with(|| Box::pin(sleep_until(due)));
                ready!(deadline.as_mut().poll(context));
                this.end();
                Poll::Ready(Some(Err(axum::Error::new(BodyTooSlow))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.end();
    }
}

/// An answer's body; with it ends the request.
pub(super) struct AnswerBody {
    body: Body,
    _request: InHand,
}

impl AnswerBody {
    /// The body of this request's answer.
    pub(super) const fn new(body: Body, request: InHand) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request in hand, until this is dropped.
pub(super) struct InHand(Arc<Presence>);

impl InHand {
    /// A request has come.
    pub(super) fn new(presence: Arc<Presence>, has_body: bool) -> Self {
        presence.request_came(has_body);
        Self(presence)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}
