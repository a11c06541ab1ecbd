//! The journey of a request: method, token, permission, group, query, body; then its handler; then what every answer
//! carries.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CACHE_CONTROL,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use domain::spawner::Share;
use futures::future::BoxFuture;
use projections::Lane;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::access;
use super::answer::Answer;
use super::body;
use super::endpoint::{Endpoint, Permission};
use super::exchange::{Caller, Exchange};
use super::long_answers::Grounds;
use super::prefixes::ADMIN;
use super::query::Query;
use super::refusal::{Form, Refusal};
use super::request_id::RequestId;
use super::services::Services;

/// Up to how many bytes a body is read and decided on where everybody is served, unless its endpoint computes.
const SMALL_BODY: usize = 16 * 1024;
/// After how many seconds who met an overload may ask again.
const RETRY_AFTER: u32 = 2;

/// The endpoints of one path.
pub(crate) struct Resource {
    endpoints: Vec<Endpoint>,
    services: Arc<Services>,
}

impl Resource {
    /// The endpoints of one path, at least one.
    pub(crate) const fn new(endpoints: Vec<Endpoint>, services: Arc<Services>) -> Self {
        Self { endpoints, services }
    }

    /// Answers a request on this path.
    pub(crate) async fn serve(self: Arc<Self>, request: Request) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let mut unread = Some(body);
        let response = self.answer(&mut parts, &mut unread).await;
        if let Some(body) = unread {
            body::discard_unread(&parts.headers, body).await;
        }
        response
    }

    /// The answer; `body` is left where it was refused before its body was read.
    async fn answer(&self, parts: &mut Parts, body: &mut Option<Body>) -> Response<Body> {
        let request_id = RequestId::of(parts);
        if parts.method == Method::OPTIONS {
            return self.options();
        }
        let Some(endpoint) = self.endpoint(&parts.method) else {
            return self.method_not_allowed(request_id);
        };
        let mut response = match self.handle(endpoint, request_id, parts, body).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => {
                if !refusal.held_back.is_zero() {
                    tokio::time::sleep(refusal.held_back).await;
                }
                refusal.into_response(endpoint.form, request_id)
            }
        };
        // What needed a token is for its holder only: tokens, keys and secrets are among it.
        if endpoint.permission != Permission::Public {
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().insert(CACHE_CONTROL, no_store);
        }
        response
    }

    fn endpoint(&self, method: &Method) -> Option<&Endpoint> {
        // hyper drops the body of an answer to HEAD.
        let wanted = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.endpoints.iter().find(|endpoint| endpoint.method == *wanted)
    }

    async fn handle(
        &self,
        endpoint: &Endpoint,
        request_id: Uuid,
        parts: &mut Parts,
        body: &mut Option<Body>,
    ) -> Result<Answer, Refusal> {
        let address = self.services.settings.forwarding.source(parts);
        if let Some(address) = address {
            self.services.rates.sent_from(address)?;
        }
        let parameters = path_parameters(parts).await?;
        let grounds = match endpoint.permission {
            Permission::Public => None,
            permission => Some(self.authorize(permission, parts, address, &parameters).await?),
        };
        let caller = grounds.as_ref().map(|grounds| grounds.caller.clone());
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        if endpoint.form == Form::Problem {
            let known = endpoint
                .parameters
                .iter()
                .filter(|parameter| parameter.place == "query");
            query.refuse_unknown(known.map(|parameter| parameter.name))?;
        }
        let share = caller.as_ref().map_or(Share::Program, Caller::share);
        let mut memory = self.services.memory.request(share);
        let body = body.take().unwrap_or_default();
        let body = body::read(&parts.headers, body, endpoint.body_limit, &mut memory).await?;
        if let Some(taken) = &endpoint.request {
            body::check_media_type(&parts.headers, &body, taken.media_types)?;
        }
        let lane = match endpoint.computes || body.len() > SMALL_BODY {
            true => Lane::Computing,
            false => Lane::Serving,
        };
        let exchange = Exchange {
            services: Arc::clone(&self.services),
            lane,
            request_id,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            parameters,
            query,
            headers: std::mem::take(&mut parts.headers),
            body,
            source: address.map(|address| address.to_string()),
            most_values: endpoint.most_values,
            digest: None,
            caller,
            group: grounds.as_ref().and_then(|grounds| grounds.group.clone()),
        };
        let answered = (endpoint.handler)(exchange);
        let answered = async {
            match lane {
                Lane::Computing => self.computed(share, answered).await,
                Lane::Serving => answered.await,
            }
        };
        match grounds {
            // What a change comes to is told, whoever made it.
            Some(grounds) if endpoint.method != Method::GET => {
                answered.await.map(|answer| grounds.bind(answer))
            }
            Some(grounds) => grounds.hold(answered).await.map(|answer| grounds.bind(answer)),
            None => answered.await,
        }
    }

    /// What a handler answers, all of whose steps run on the threads for computing.
    async fn computed(
        &self,
        share: Share,
        answered: BoxFuture<'static, Result<Answer, Refusal>>,
    ) -> Result<Answer, Refusal> {
        let answered = answered.instrument(Span::current());
        let driven = self.services.pool.drive(share, answered).await;
        driven.unwrap_or_else(|overloaded| {
            metrics::counter!("http_requests_overloaded_total").increment(1);
            let mut refusal = Refusal::unavailable(overloaded.to_string());
            refusal.kind = Some("overloaded");
            refusal.retry_after = Some(RETRY_AFTER);
            Err(refusal)
        })
    }

    async fn authorize(
        &self,
        permission: Permission,
        parts: &Parts,
        address: Option<IpAddr>,
        parameters: &[(String, String)],
    ) -> Result<Grounds, Refusal> {
        let services = &self.services;
        let (reads, now) = (services.reads(Lane::Serving), services.clock.now());
        let signed_in = services
            .access
            .sign_in(&parts.headers, address, &services.rates, reads, now);
        let (token, caller) = signed_in.await?;
        services.rates.sent_with(caller.token.id)?;
        let grounds = |caller, group| Grounds {
            services: Arc::clone(services),
            token,
            caller,
            permission,
            group,
        };
        let named = parameters
            .iter()
            .find(|(name, _)| name == "group" && permission.concerns_a_group())
            .map(|(_, value)| value.as_str());
        let Some(selector) = named else {
            access::authorize(&caller, permission, None)?;
            return Ok(grounds(caller, None));
        };
        let group = services
            .access
            .group(&caller, permission, selector, reads, now)
            .await?;
        Ok(grounds(caller, Some(group)))
    }

    fn methods(&self) -> String {
        let mut methods: Vec<&str> = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.dedup();
        methods.join(", ")
    }

    fn options(&self) -> Response<Body> {
        let methods = HeaderValue::try_from(self.methods()).expect("method names are header values");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        if self.is_of_the_admin_api() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("Content-Type"),
            );
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        headers.insert(ALLOW, methods);
        response
    }

    fn is_of_the_admin_api(&self) -> bool {
        let mut paths = self.endpoints.iter().map(|endpoint| &endpoint.path);
        paths.any(|path| path.starts_with(ADMIN.base))
    }

    fn method_not_allowed(&self, request_id: Uuid) -> Response<Body> {
        let mut refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
        refusal.allow = Some(self.methods());
        let form = self
            .endpoints
            .first()
            .map_or(Form::Problem, |endpoint| endpoint.form);
        refusal.into_response(form, request_id)
    }
}

async fn path_parameters(parts: &mut Parts) -> Result<Vec<(String, String)>, Refusal> {
    let parameters = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Refusal::bad_request("the path isn't valid UTF-8 once decoded"))?;
    Ok(parameters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
