//! One endpoint of the API: route, authorization and OpenAPI entry in one value, so that none of the three can be
//! forgotten (DESIGN §11, §12).

use std::future::Future;
use std::sync::Arc;

use axum::http::Method;
use futures::future::BoxFuture;
use serde_json::Value;

use super::answer::Answer;
use super::body::{MOST_VALUES, MOST_VALUES_OF_LARGE};
use super::exchange::Exchange;
use super::refusal::{Form, Refusal};

/// The largest body of an ordinary request (DESIGN §8).
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// The largest body of `/apply` and `/transactions` (DESIGN §8).
pub(crate) const LARGE_BODY_LIMIT: usize = 256 * 1024 * 1024;

/// What a caller must be allowed to do. There is no default: an endpoint can't be made without saying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nothing, not even a token.
    Public,
    /// Any admin or viewer token; the answer holds only what it may see.
    Member,
    /// An admin or viewer token of the whole organization.
    ReadOrganization,
    /// An admin token of the whole organization.
    WriteOrganization,
    /// An admin or viewer token of the organization or of the group in the path.
    ReadGroup,
    /// The same; a deleted group, named by its id, is found as well.
    ReadHistory,
    /// An admin token of the organization or of the group in the path.
    WriteGroup,
}

impl Permission {
    /// Whether it is about the group that the path names.
    pub(crate) const fn concerns_a_group(self) -> bool {
        matches!(self, Self::ReadGroup | Self::ReadHistory | Self::WriteGroup)
    }

    /// As the OpenAPI document says it.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Public => "no token needed",
            Self::Member => "any admin or viewer token; answers hold what the token may see",
            Self::ReadOrganization => "an admin or viewer token of the organization",
            Self::WriteOrganization => "an admin token of the organization",
            Self::ReadGroup => "an admin or viewer token of the organization or of this group",
            Self::ReadHistory => {
                "an admin or viewer token of the organization or of this group; deleted groups by id"
            }
            Self::WriteGroup => "an admin token of the organization or of this group",
        }
    }
}

/// What runs once the request is authorized.
pub(crate) type Handler = Arc<dyn Fn(Exchange) -> BoxFuture<'static, Result<Answer, Refusal>> + Send + Sync>;

/// A query parameter or header an endpoint reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    /// Its name; a query parameter's that ends in `[` stands for everything below it.
    pub(crate) name: &'static str,
    /// `query` or `header`.
    pub(crate) place: &'static str,
    /// What it does.
    pub(crate) description: &'static str,
}

/// A query parameter.
pub(crate) const fn query(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        name,
        place: "query",
        description,
    }
}

/// A request header.
pub(crate) const fn header(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        name,
        place: "header",
        description,
    }
}

/// The body an endpoint takes.
#[derive(Clone, Debug)]
pub(crate) struct RequestBody {
    /// Its media types.
    pub(crate) media_types: &'static [&'static str],
    /// Its JSON Schema.
    pub(crate) schema: Value,
}

/// What an endpoint answers when all is well.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    /// The status.
    pub(crate) status: u16,
    /// The media type.
    pub(crate) media_type: &'static str,
    /// The body's JSON Schema; null for no body.
    pub(crate) schema: Value,
}

/// One method on one path.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The method.
    pub(crate) method: Method,
    /// The path, parameters in braces.
    pub(crate) path: String,
    /// Who may.
    pub(crate) permission: Permission,
    /// The form of its errors.
    pub(crate) form: Form,
    /// What it does, in a line.
    pub(crate) summary: String,
    /// What it reads from query and headers.
    pub(crate) parameters: Vec<Parameter>,
    /// The body it takes.
    pub(crate) request: Option<RequestBody>,
    /// What it answers.
    pub(crate) success: Success,
    /// The largest body, in bytes.
    pub(crate) body_limit: usize,
    /// Whether answering takes the processor for long even where the request is small.
    pub(crate) computes: bool,
    /// How many values the body may have.
    pub(crate) most_values: usize,
    /// What runs.
    pub(crate) handler: Handler,
}

impl Endpoint {
    /// An endpoint with problem+json errors, without parameters and body, that answers 200 with JSON.
    pub(crate) fn new<Handling>(
        method: Method,
        path: impl Into<String>,
        permission: Permission,
        summary: impl Into<String>,
        handler: impl Fn(Exchange) -> Handling + Send + Sync + 'static,
    ) -> Self
    where
        Handling: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        Self {
            method,
            path: path.into(),
            permission,
            form: Form::Problem,
            summary: summary.into(),
            parameters: Vec::new(),
            request: None,
            success: Success {
                status: 200,
                media_type: "application/json",
                schema: Value::Bool(true),
            },
            body_limit: BODY_LIMIT,
            computes: false,
            most_values: MOST_VALUES,
            handler: Arc::new(move |exchange| Box::pin(handler(exchange))),
        }
    }

    /// With these parameters too.
    #[must_use]
    pub(crate) fn reads(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend_from_slice(parameters);
        self
    }

    /// With a JSON body.
    #[must_use]
    pub(crate) fn takes(self, schema: Value) -> Self {
        self.takes_media(&["application/json"], schema)
    }

    /// With a body of these media types.
    #[must_use]
    pub(crate) fn takes_media(mut self, media_types: &'static [&'static str], schema: Value) -> Self {
        self.request = Some(RequestBody { media_types, schema });
        self
    }

    /// Answers this when all is well.
    #[must_use]
    pub(crate) fn answers(mut self, status: u16, schema: Value) -> Self {
        self.success.status = status;
        self.success.schema = schema;
        self
    }

    /// Answers in this media type.
    #[must_use]
    pub(crate) const fn in_media(mut self, media_type: &'static str) -> Self {
        self.success.media_type = media_type;
        self
    }

    /// With Kong's error form.
    #[must_use]
    pub(crate) const fn by_kongs_rules(mut self) -> Self {
        self.form = Form::Kong;
        self
    }

    /// With room for a whole configuration.
    #[must_use]
    pub(crate) const fn takes_large_bodies(mut self) -> Self {
        self.body_limit = LARGE_BODY_LIMIT;
        self.most_values = MOST_VALUES_OF_LARGE;
        self.computes()
    }

    /// Answered by the threads for computing, however small the request is.
    #[must_use]
    pub(crate) const fn computes(mut self) -> Self {
        self.computes = true;
        self
    }
}
