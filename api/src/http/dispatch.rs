//! The journey of a request: method, token, permission, group, query, body; then its handler; then what every answer
//! carries.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use uuid::Uuid;

use super::access;
use super::answer::Answer;
use super::body;
use super::endpoint::{Endpoint, Permission};
use super::exchange::{Caller, Exchange};
use super::prefixes::ADMIN;
use super::query::Query;
use super::refusal::{Form, Refusal};
use super::request_id::RequestId;
use super::services::Services;

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
        match self.handle(endpoint, request_id, parts, body).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => refusal.into_response(endpoint.form, request_id),
        }
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
        let parameters = path_parameters(parts).await?;
        let (caller, group) = match endpoint.permission {
            Permission::Public => (None, None),
            permission => {
                let (caller, group) = self.authorize(permission, parts, &parameters).await?;
                (Some(caller), group)
            }
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        if endpoint.form == Form::Problem {
            let known = endpoint
                .parameters
                .iter()
                .filter(|parameter| parameter.place == "query");
            query.refuse_unknown(known.map(|parameter| parameter.name))?;
        }
        let body = body.take().unwrap_or_default();
        let body = body::read(&parts.headers, body, endpoint.body_limit).await?;
        if let Some(taken) = &endpoint.request {
            body::check_media_type(&parts.headers, &body, taken.media_types)?;
        }
        let source = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_string());
        let exchange = Exchange {
            services: Arc::clone(&self.services),
            request_id,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            parameters,
            query,
            headers: std::mem::take(&mut parts.headers),
            body,
            source,
            caller,
            group,
        };
        (endpoint.handler)(exchange).await
    }

    async fn authorize(
        &self,
        permission: Permission,
        parts: &Parts,
        parameters: &[(String, String)],
    ) -> Result<(Caller, Option<Arc<domain::organization::GroupRecord>>), Refusal> {
        let (reads, now) = (&self.services.reads, self.services.clock.now());
        let found = self.services.access.caller(&parts.headers, reads, now);
        let caller = found.await?;
        let named = parameters
            .iter()
            .find(|(name, _)| name == "group" && permission.concerns_a_group())
            .map(|(_, value)| value.as_str());
        access::authorize(&caller, permission, named)?;
        let Some(selector) = named else {
            return Ok((caller, None));
        };
        let deleted_too = permission == Permission::ReadHistory;
        let found = self
            .services
            .access
            .group(&caller, selector, deleted_too, reads, now);
        let group = found.await.map_err(|refusal| match caller.token.group {
            // A token of one group doesn't learn which other names exist.
            Some(own) if refusal.status == StatusCode::NOT_FOUND => Refusal::new(
                StatusCode::FORBIDDEN,
                format!("this token is for the runtime group {own} only"),
            ),
            _ => refusal,
        })?;
        access::authorize_group(&caller, &group)?;
        Ok((caller, Some(group)))
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
