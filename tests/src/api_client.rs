//! What a test says to a server over HTTP, and what it hears.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::eventually::Patience;

/// A caller of the API with one token.
#[derive(Debug, Clone)]
pub struct ApiClient {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl ApiClient {
    /// A caller of the server at `base` (`http://127.0.0.1:<port>`) with `token`.
    pub fn new(base: &str, token: &str) -> Self {
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// The same server, seen by the holder of another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Where the server is: `http://127.0.0.1:<port>`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The token that is sent.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The runtime group `group`, an id or a name.
    pub fn group(&self, group: &str) -> GroupClient {
        GroupClient {
            api: self.clone(),
            group: group.to_owned(),
        }
    }

    /// Creates a runtime group and returns it.
    pub async fn create_group(&self, name: &str) -> Value {
        let body = serde_json::json!({ "name": name });
        self.post("/v2/runtime-groups", &body)
            .await
            .expect_status(201)
            .json()
    }

    /// Makes a token with which instances of `group` connect, and returns its secret.
    pub async fn instance_token(&self, group: &str) -> String {
        let body = serde_json::json!({ "name": "instances", "role": "instance", "group": group });
        let made = self.post("/v2/tokens", &body).await.expect_status(201).json();
        made["token"]
            .as_str()
            .expect("a new token is shown once")
            .to_owned()
    }

    /// GET of a path with its leading slash.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// POST of a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// PUT of a JSON body.
    pub fn put(&self, path: &str, body: &Value) -> Call {
        self.call(Method::PUT, path).json(body)
    }

    /// PATCH of a JSON body.
    pub fn patch(&self, path: &str, body: &Value) -> Call {
        self.call(Method::PATCH, path).json(body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Any other request.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        Call {
            spoken: format!("{method} {path}"),
            request,
        }
    }
}

/// A caller of one runtime group.
#[derive(Debug, Clone)]
pub struct GroupClient {
    api: ApiClient,
    group: String,
}

impl GroupClient {
    /// The id or name it was made with.
    pub fn name(&self) -> &str {
        &self.group
    }

    /// GET of an entity or a list: `services`, `services/orders`.
    pub fn get(&self, path: &str) -> Call {
        self.api.get(&self.entity(path))
    }

    /// POST of a new entity.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.api.post(&self.entity(path), body)
    }

    /// PUT of an entity.
    pub fn put(&self, path: &str, body: &Value) -> Call {
        self.api.put(&self.entity(path), body)
    }

    /// PATCH of an entity.
    pub fn patch(&self, path: &str, body: &Value) -> Call {
        self.api.patch(&self.entity(path), body)
    }

    /// DELETE of an entity.
    pub fn delete(&self, path: &str) -> Call {
        self.api.delete(&self.entity(path))
    }

    /// GET beside the entities: `versions`, `nodes`, `diff?from=1&to=2`.
    pub fn read(&self, path: &str) -> Call {
        self.api.get(&self.beside(path))
    }

    /// POST of a JSON body beside the entities: `transactions`, `rollback`.
    pub fn change(&self, path: &str, body: &Value) -> Call {
        self.api.post(&self.beside(path), body)
    }

    /// A declarative file in decK's format as one change; `query` begins with `?` or is empty.
    pub fn apply(&self, file: &str, query: &str) -> Call {
        let mut call = self
            .api
            .call(Method::POST, &self.beside(&format!("apply{query}")));
        call.request = call
            .request
            .header("content-type", "application/yaml")
            .body(file.to_owned());
        call
    }

    /// The group's newest version.
    pub async fn version(&self) -> u64 {
        self.get("services?size=1")
            .await
            .expect_status(200)
            .group_version()
    }

    /// Every entity of a collection, page after page.
    pub async fn all(&self, collection: &str) -> Vec<Value> {
        let mut entities = Vec::new();
        let mut offset = String::new();
        loop {
            let page = self
                .patiently(self.entity(&format!("{collection}?size=1000{offset}")))
                .await
                .json();
            entities.extend(page["data"].as_array().expect("a list has data").iter().cloned());
            match page["offset"].as_str() {
                Some(next) => offset = format!("&offset={next}"),
                None => return entities,
            }
        }
    }

    /// The content hash of the group's configuration at `version`.
    pub async fn digest(&self, version: u64) -> String {
        let found = self
            .patiently(self.beside(&format!("versions/{version}")))
            .await
            .json();
        found["digest"]
            .as_str()
            .expect("a version has a digest")
            .to_owned()
    }

    /// The runtime instances of the group.
    pub async fn nodes(&self) -> Vec<Value> {
        let found = self.patiently(self.beside("nodes")).await.json();
        found["items"]
            .as_array()
            .expect("a list of nodes has items")
            .clone()
    }

    /// Every change of the group after `version`, the oldest first; what happens meanwhile may or may not be among them.
    pub async fn history_after(&self, version: u64) -> Vec<Value> {
        let mut changes = BTreeMap::new();
        for page in 1.. {
            let path = format!("versions?page[size]=1000&page[number]={page}");
            let found = self.patiently(self.beside(&path)).await.json();
            let found = found["data"].as_array().expect("a list has data");
            // The newest come first, so changes that happen meanwhile make pages overlap.
            changes.extend(
                found
                    .iter()
                    .map(|change| (change["version"].as_u64(), change.clone())),
            );
            if found
                .last()
                .is_none_or(|oldest| oldest["version"].as_u64() <= Some(version + 1))
            {
                break;
            }
        }
        changes.split_off(&Some(version + 1)).into_values().collect()
    }

    /// GET as a careful client does it: again, while the server says 503 because it has yet to catch up.
    async fn patiently(&self, path: String) -> Answer {
        let patience = Patience::new(&path);
        loop {
            let answer = self.api.get(&path).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer.expect_status(200);
            }
            patience.pause(answer.text()).await;
        }
    }

    fn entity(&self, path: &str) -> String {
        self.beside(&format!("core-entities/{path}"))
    }

    fn beside(&self, path: &str) -> String {
        format!("/v2/runtime-groups/{}/{path}", self.group)
    }
}

/// A request that is sent when it is awaited.
#[must_use = "a call is made when it is awaited"]
#[derive(Debug)]
pub struct Call {
    spoken: String,
    request: reqwest::RequestBuilder,
}

impl Call {
    /// The same request with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// The same request with a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// The same request with these bytes, said to be JSON whatever they are.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request = self
            .request
            .header("content-type", "application/json")
            .body(body.into());
        self
    }

    /// The same request with a body of this media type.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.header("content-type", media_type).body(body.into());
        self
    }

    /// Sends it; an error is one of the connection: what became of the request is then unknown.
    pub async fn attempt(self) -> Result<Answer, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            spoken: self.spoken,
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let spoken = self.spoken.clone();
            self.attempt()
                .await
                .unwrap_or_else(|error| panic!("{spoken}: no answer: {error:?}"))
        })
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    spoken: String,
    /// The status line's code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The same answer, after checking its status.
    ///
    /// # Panics
    /// When the status is another one; the message has the body.
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.spoken, self.text());
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it isn't JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.spoken, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, `None` if it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("our headers are text"))
    }

    /// The version of the last change that touched what was answered with, from its `ETag`.
    ///
    /// # Panics
    /// When the answer has no `ETag` that is a version.
    pub fn version_tag(&self) -> u64 {
        let value = self.header("etag");
        value
            .and_then(|tag| tag.trim_matches('"').parse().ok())
            .unwrap_or_else(|| panic!("{}: ETag is {value:?}: {}", self.spoken, self.text()))
    }

    /// The version of the group that the answer was made from.
    ///
    /// # Panics
    /// When the answer has no `X-Group-Version`.
    pub fn group_version(&self) -> u64 {
        let value = self.header("x-group-version");
        value
            .and_then(|version| version.parse().ok())
            .unwrap_or_else(|| panic!("{}: X-Group-Version is {value:?}: {}", self.spoken, self.text()))
    }
}
