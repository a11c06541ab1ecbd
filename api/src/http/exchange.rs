//! One authorized request on its way through a handler.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use domain::organization::{GroupRecord, TokenRecord};
use domain::spawner::Share;
use domain::token::Role;
use domain::{Actor, Cause, Context, Digest, GroupId, Idempotency, Kind, OrganizationId};
use projections::Lane;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::query::Query;
use super::reads::Reads;
use super::refusal::Refusal;
use super::services::Services;
use super::{body, forms};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The tenant: the token's, never in a URL.
    pub(crate) organization: OrganizationId,
    /// The token.
    pub(crate) token: Arc<TokenRecord>,
}

impl Caller {
    /// On whose account its requests are computed: those with tokens for one group share the group's.
    pub(crate) fn share(&self) -> Share {
        match self.token.group {
            Some(group) => Share::Group(group),
            None => Share::Token(self.token.id),
        }
    }

    /// Whether secrets are shown to it: a permission of its own, which admins have. Whoever may write a group has it too, because what a
    /// change is answered with (taken, already so) tells a stored secret from a guess.
    pub(crate) fn reads_secrets(&self) -> bool {
        self.token.role == Role::Admin
    }

    /// Whether it may change every group of its organization: the operator, where there is no other organization.
    pub(crate) fn changes_every_group(&self) -> bool {
        self.token.role == Role::Admin && self.token.group.is_none()
    }
}

/// A request, authenticated and authorized, its body read.
pub(crate) struct Exchange {
    /// What answers are made of.
    pub(crate) services: Arc<Services>,
    /// Over which connections it reads: where its steps run decides.
    pub(crate) lane: Lane,
    /// This request's id.
    pub(crate) request_id: Uuid,
    /// The method.
    pub(crate) method: Method,
    /// The path as routed, without doubled slashes.
    pub(crate) path: String,
    /// The path's parameters, decoded.
    pub(crate) parameters: Vec<(String, String)>,
    /// The query parameters.
    pub(crate) query: Query,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// How many values it may have.
    pub(crate) most_values: usize,
    /// The digest of method, path, query and body, where an idempotency key came with them.
    pub(crate) digest: Option<Digest>,
    /// The caller's address, if it came over a network.
    pub(crate) source: Option<String>,
    /// Who asks; none on public endpoints.
    pub(crate) caller: Option<Caller>,
    /// The group in the path.
    pub(crate) group: Option<Arc<GroupRecord>>,
}

impl Exchange {
    /// Queries on the read side.
    pub(crate) fn reads(&self) -> &Reads {
        self.services.reads(self.lane)
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> Result<&Caller, Refusal> {
        self.caller
            .as_ref()
            .ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "this needs a token"))
    }

    /// The group in the path.
    pub(crate) fn group(&self) -> Result<&Arc<GroupRecord>, Refusal> {
        self.group
            .as_ref()
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "the path names no runtime group"))
    }

    /// The tenant and the group in the path.
    pub(crate) fn place(&self) -> Result<(OrganizationId, GroupId), Refusal> {
        Ok((self.caller()?.organization, self.group()?.id))
    }

    /// A parameter of the path.
    pub(crate) fn parameter(&self, name: &str) -> Result<&str, Refusal> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(Refusal::not_found)
    }

    /// A parameter of the path that is an id.
    pub(crate) fn id_parameter(&self, name: &'static str) -> Result<Uuid, Refusal> {
        Uuid::try_parse(self.parameter(name)?)
            .map_err(|_| Refusal::invalid(name, "is_uuid", "must be a UUID"))
    }

    /// The body as a JSON object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, Refusal> {
        body::object(&self.body, self.most_values)
    }

    /// The body as an object for an entity of a kind: JSON, or a form.
    pub(crate) fn object_of(&self, kind: Kind) -> Result<Map<String, Value>, Refusal> {
        self.object_over(kind, None)
    }

    /// The same for a change of what is stored, which says how a form is read where it doesn't itself.
    pub(crate) fn object_over(
        &self,
        kind: Kind,
        stored: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, Refusal> {
        match body::form(&self.headers, &self.body)? {
            Some(texts) => Ok(forms::typed(kind, texts, stored)),
            None => self.object(),
        }
    }

    /// The body as a value of a type that knows its fields.
    pub(crate) fn typed_body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        body::typed(&self.body, self.most_values)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let text = |value| {
            std::str::from_utf8(value)
                .map_err(|_| Refusal::bad_request(format!("the header {name} isn't valid UTF-8")))
        };
        self.headers
            .get(name)
            .map(|value| text(value.as_bytes()))
            .transpose()
    }

    /// The time and randomness for what is decided here.
    pub(crate) fn context(&self) -> Context {
        Context::new(self.services.clock.now(), (self.services.entropy)())
    }

    /// Who asks and why, for a command.
    pub(crate) fn cause(&self) -> Result<Cause, Refusal> {
        let token = &self.caller()?.token;
        let reason = self.header("x-change-message")?.map(str::to_owned);
        if reason.as_ref().is_some_and(|reason| reason.len() > 4096) {
            return Err(Refusal::bad_request(
                "X-Change-Message is longer than 4096 bytes: say it shorter",
            ));
        }
        Ok(Cause {
            actor: Actor::Token {
                id: token.id,
                name: token.name.clone(),
            },
            reason,
            request_id: Some(self.request_id),
            source: self.source.clone(),
            idempotency: self.idempotency()?,
        })
    }

    /// The body, for who needs it no longer than reading it takes.
    pub(crate) fn take_body(&mut self) -> Bytes {
        if self.headers.contains_key("idempotency-key") {
            self.digest = Some(digest(&self.method, &self.path, &self.query, &self.body));
        }
        std::mem::take(&mut self.body)
    }

    fn idempotency(&self) -> Result<Option<Idempotency>, Refusal> {
        let Some(key) = self.header("idempotency-key")? else {
            return Ok(None);
        };
        if key.is_empty() || key.len() > 255 {
            return Err(Refusal::bad_request("Idempotency-Key must have 1 to 255 bytes"));
        }
        Ok(Some(Idempotency {
            key: key.to_owned(),
            request: self
                .digest
                .unwrap_or_else(|| digest(&self.method, &self.path, &self.query, &self.body)),
        }))
    }
}

/// What makes a repeated request the same one.
fn digest(method: &Method, path: &str, query: &Query, body: &Bytes) -> Digest {
    let mut request = blake3::Hasher::new();
    request
        .update(method.as_str().as_bytes())
        .update(&[0])
        .update(path.as_bytes())
        .update(&[0]);
    for (name, value) in query.iter() {
        request
            .update(name.as_bytes())
            .update(&[1])
            .update(value.as_bytes())
            .update(&[2]);
    }
    request.update(&[0]).update(body);
    Digest(*request.finalize().as_bytes())
}
