//! The command line's way to the server: the same HTTP API that everybody uses, its refusals turned into sentences.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use domain::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, ClientBuilder, Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::output::Output;
use super::pending_change::PendingChange;
use super::refusal::Refusal;
use super::terminal;

/// What stays as it is in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How often a change is sent again while its outcome is unknown; the key makes it the same change.
const ATTEMPTS: u32 = 10;
/// For how long a question is asked again while the server says that something it needs is away.
const QUESTION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Which server, and who asks.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// The server's address
    #[arg(
        long,
        value_name = "URL",
        env = "RUNTIME_MANAGER_URL",
        default_value = "http://127.0.0.1:8088"
    )]
    url: Url,
    /// A certificate authority to trust beside the system's, PEM
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_CA")]
    ca: Option<PathBuf>,
    /// Without RUNTIME_MANAGER_TOKEN, and for a server on this machine only, the token in this directory's `admin.token` is used
    #[arg(
        long,
        value_name = "DIRECTORY",
        env = "RUNTIME_MANAGER_DATA_DIR",
        default_value = "./data"
    )]
    data_dir: PathBuf,
    /// Tables for people or JSON for programs
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// A caller of the API.
#[derive(Debug)]
pub struct Client {
    url: Url,
    token: Secret,
    /// Where the token came from, for the message when it doesn't open anything.
    token_source: String,
    http: reqwest::Client,
}

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text)
            .context("the server's answer isn't JSON: is this address Runtime Manager's?")
    }
}

/// A request that isn't sent yet.
#[derive(Debug)]
#[must_use = "a request is sent with `send`"]
pub struct Request<'a> {
    client: &'a Client,
    builder: RequestBuilder,
    /// Whether something is another afterwards.
    changes: bool,
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// The path of a runtime group, by id or name.
pub fn group_path(group: &str) -> String {
    format!("/v2/runtime-groups/{}", segment(group))
}

/// The path of whose history it is: a runtime group, by id or name, or the organization.
pub fn history_path(group: Option<&str>) -> String {
    match group {
        Some(group) => group_path(group),
        None => "/v2/organizations/me".to_owned(),
    }
}

impl Client {
    /// A caller with the token from the environment or, for a server on this machine, from the data directory.
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let (token, token_source) = token(connection)?;
        Ok(Self {
            url: connection.url.clone(),
            token,
            token_source,
            http: http_client(connection.ca.as_deref())?.build()?,
        })
    }

    /// GET of a path with its leading slash.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request(Method::GET, path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> Request<'_> {
        self.request(Method::POST, path)
    }

    /// PATCH.
    pub fn patch(&self, path: &str) -> Request<'_> {
        self.request(Method::PATCH, path)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Request<'_> {
        self.request(Method::DELETE, path)
    }

    /// Every item of a list of ours, page after page.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        const PAGE: usize = 100;
        let mut items = Vec::new();
        for number in 1.. {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{separator}page%5Bsize%5D={PAGE}&page%5Bnumber%5D={number}");
            let answer = self.get(&page).send().await?.json()?;
            let data = answer["data"]
                .as_array()
                .context("the server's list has no data")?;
            items.extend(data.iter().cloned());
            if data.len() < PAGE {
                break;
            }
        }
        Ok(items)
    }

    fn request(&self, method: Method, path: &str) -> Request<'_> {
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        let changes = method != Method::GET;
        let builder = self.http.request(method, url).bearer_auth(self.token.expose());
        Request {
            client: self,
            builder,
            changes,
        }
    }
}

impl Request<'_> {
    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With why the change is made, if it was said.
    pub fn message(self, message: Option<&str>) -> Self {
        match message {
            Some(message) => self.header("x-change-message", message),
            None => self,
        }
    }

    /// With a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// With a body of this type.
    pub fn body(mut self, content_type: &str, body: String) -> Self {
        self.builder = self.builder.header(CONTENT_TYPE, content_type).body(body);
        self
    }

    /// Sends it and answers a success without its body, which may not end.
    pub async fn open(self) -> anyhow::Result<reqwest::Response> {
        let Self { client, builder, .. } = self;
        let answer = builder.send().await.map_err(|error| client.unreachable(&error))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(client.refused(answer).await),
        }
    }

    /// Asks only: nothing is changed, so there is no outcome to learn.
    pub const fn only_asking(mut self) -> Self {
        self.changes = false;
        self
    }

    /// Sends it. A change carries an idempotency key, under which it is sent again while its outcome isn't known; where that
    /// is of no avail, the same command run again goes on with the same key.
    pub async fn send(self) -> anyhow::Result<Answer> {
        let Self {
            client,
            builder,
            changes,
        } = self;
        let mut request = builder.build()?;
        if !changes {
            return client
                .send_until_answered(&request)
                .await
                .map_err(|failed| failed.error);
        }
        let pending = PendingChange::begin(&identity(&request));
        request
            .headers_mut()
            .insert("idempotency-key", HeaderValue::try_from(&pending.key)?);
        if pending.resumed {
            terminal::note(
                "this command was cut off before: what follows is what it did then, unless it did nothing",
            );
        }
        let sent = tokio::select! {
            sent = client.send_until_answered(&request) => sent,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                return Err(Interrupted.into());
            }
        };
        match sent {
            Ok(answer) => {
                pending.is_settled();
                Ok(answer)
            }
            Err(Failed {
                error,
                in_doubt: true,
            }) => bail!("{error:#}\n{IN_DOUBT}"),
            // An earlier run may have been received all the same.
            Err(Failed { error, .. }) if pending.resumed && !error.is::<Refusal>() => {
                bail!("{error:#}\n{IN_DOUBT}")
            }
            Err(Failed { error, .. }) => {
                pending.is_settled();
                Err(error)
            }
        }
    }
}

/// What to do where nobody knows whether a change was made.
const IN_DOUBT: &str = "outcome unknown: the change is made as a whole or not at all. Running the same command again is safe: within an \
     hour it tells what this one did, and changes nothing twice";

/// Interrupted while a change was on its way.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {IN_DOUBT}")]
pub struct Interrupted;

/// Why there is no answer to a request.
#[derive(Debug)]
struct Failed {
    error: anyhow::Error,
    /// Whether the server may have carried it out.
    in_doubt: bool,
}

/// What makes a request the same one: its path, with whose token, and all that it says. By which address the installation is
/// reached doesn't matter: another of its servers knows the key as well.
fn identity(request: &reqwest::Request) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut put = |piece: &[u8]| {
        hasher.update(&(piece.len() as u64).to_le_bytes()).update(piece);
    };
    put(request.method().as_str().as_bytes());
    put(request.url().path().as_bytes());
    put(request.url().query().unwrap_or_default().as_bytes());
    for (name, value) in request.headers() {
        put(name.as_str().as_bytes());
        put(value.as_bytes());
    }
    put(request
        .body()
        .and_then(reqwest::Body::as_bytes)
        .unwrap_or_default());
    hasher.finalize()
}

impl Client {
    /// Sends a request again while the server can't say what became of it, or went away while it was at it.
    async fn send_until_answered(&self, request: &reqwest::Request) -> Result<Answer, Failed> {
        let mut in_doubt = false;
        let mut attempt = 1;
        let began = Instant::now();
        loop {
            // Every body here is bytes, which can be sent again.
            let copy = request.try_clone().expect("a body of bytes");
            let (error, pause) = match self.http.execute(copy).await {
                Err(error) if error.is_connect() && !in_doubt => {
                    let error = self.unreachable(&error);
                    return Err(Failed { error, in_doubt });
                }
                Err(error) => {
                    in_doubt |= !error.is_connect();
                    (self.gone(&error), PAUSE)
                }
                Ok(answer) => {
                    let pause = retry_after(&answer);
                    match complete(answer).await {
                        Ok(answer) => return Ok(answer),
                        Err(Incomplete::Refused(refusal)) => match refusal.status {
                            StatusCode::SERVICE_UNAVAILABLE => {
                                in_doubt |= refusal.outcome_unknown;
                                (refusal.into(), pause)
                            }
                            StatusCode::UNAUTHORIZED => {
                                let source = &self.token_source;
                                let error = anyhow::anyhow!("{refusal}\nthe token came from {source}");
                                return Err(Failed { error, in_doubt });
                            }
                            // What was refused under this key isn't made under it, nor was it before.
                            status => {
                                let in_doubt =
                                    status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE;
                                let error = refusal.into();
                                return Err(Failed { error, in_doubt });
                            }
                        },
                        Err(Incomplete::BrokenOff(error)) => {
                            in_doubt = true;
                            (self.gone(&error), PAUSE)
                        }
                    }
                }
            };
            let asked_enough = request.method() == Method::GET && began.elapsed() >= QUESTION;
            if attempt == ATTEMPTS || asked_enough {
                return Err(Failed { error, in_doubt });
            }
            if attempt == 1 {
                terminal::note(&format!("{error:#}; asking again"));
            }
            sleep(pause).await;
            attempt += 1;
        }
    }
}

impl Request<'_> {
    /// Sends it and hands on the answer's body piece by piece, for what is too long to hold.
    pub async fn receive(self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let client = self.client;
        let mut answer = self
            .builder
            .send()
            .await
            .map_err(|error| client.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(client.refused(answer).await);
        }
        while let Some(piece) = answer.chunk().await.context("the server's answer broke off")? {
            take(&piece)?;
        }
        Ok(())
    }
}

impl Client {
    /// The refusal in an answer that isn't a success.
    async fn refused(&self, answer: reqwest::Response) -> anyhow::Error {
        match complete(answer).await {
            Ok(_) => anyhow::anyhow!("the server's answer can't be understood"),
            Err(Incomplete::Refused(refusal)) => refusal.into(),
            Err(Incomplete::BrokenOff(error)) => self.unreachable(&error),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if !error.is_connect() {
            return self.gone(error);
        }
        anyhow::anyhow!(
            "the server at {} can't be reached: {}\nstart it with `runtime-manager serve`, or name another with --url or RUNTIME_MANAGER_URL",
            self.url,
            root_of(error)
        )
    }

    /// The same of a server that was there a moment ago.
    fn gone(&self, error: &reqwest::Error) -> anyhow::Error {
        anyhow::anyhow!(
            "the server at {} went away before it had answered: {}",
            self.url,
            root_of(error)
        )
    }
}

/// What an error comes down to.
fn root_of(error: &reqwest::Error) -> &dyn std::error::Error {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason
}

fn retry_after(answer: &reqwest::Response) -> Duration {
    let header = answer.headers().get(RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs).min(LONGEST_PAUSE)
}

/// Why an answer isn't a success with its whole body.
enum Incomplete {
    Refused(Refusal),
    BrokenOff(reqwest::Error),
}

async fn complete(mut answer: reqwest::Response) -> Result<Answer, Incomplete> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    // An answer about many entities is long: it isn't held twice.
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(Incomplete::BrokenOff)? {
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if status.is_success() {
        Ok(Answer {
            status,
            headers,
            text,
        })
    } else {
        Err(Incomplete::Refused(Refusal::read(status, &headers, &text)))
    }
}

/// An HTTP client that trusts this certificate authority beside the system's.
pub fn http_client(ca: Option<&Path>) -> anyhow::Result<ClientBuilder> {
    let mut http =
        reqwest::Client::builder().user_agent(concat!("runtime-manager/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca {
        let pem = std::fs::read(path).with_context(|| format!("--ca {}", path.display()))?;
        for certificate in Certificate::from_pem_bundle(&pem)? {
            http = http.add_root_certificate(certificate);
        }
    }
    Ok(http)
}

/// The token, and where it came from.
fn token(connection: &Connection) -> anyhow::Result<(Secret, String)> {
    const VARIABLE: &str = "RUNTIME_MANAGER_TOKEN";
    if let Ok(token) = std::env::var(VARIABLE)
        && !token.trim().is_empty()
    {
        return Ok((Secret::new(token.trim().to_owned()), VARIABLE.to_owned()));
    }
    let path = connection.data_dir.join("admin.token");
    if !is_this_machine(&connection.url) || !path.exists() {
        bail!(
            "no token: set {VARIABLE} (the first start left one in the server's data directory, in admin.token)"
        );
    }
    let token = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((Secret::new(token.trim().to_owned()), path.display().to_string()))
}

/// Whether the address is a loopback address: a token that wasn't given explicitly goes nowhere else.
fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_gets_a_token_that_was_not_given() {
        let this = |url: &str| is_this_machine(&url.parse().unwrap());
        assert!(this("http://127.0.0.1:8088") && this("http://[::1]:8088") && this("http://localhost"));
        assert!(!this("http://example.test:8088") && !this("http://10.0.0.1"));
    }

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        assert_eq!(group_path("us west?"), "/v2/runtime-groups/us%20west%3F");
    }
}
