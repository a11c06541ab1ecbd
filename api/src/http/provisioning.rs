//! What a new instance is started with: a script or file with a credential made for it.

use axum::http::header::{ACCEPT, CACHE_CONTROL};
use axum::http::{HeaderValue, Method, StatusCode};
use domain::Secret;
use domain::organization::{OrganizationCommand, RuntimeType};
use domain::token::{self, Role};
use serde::de::value::{Error as UnknownPlatform, StrDeserializer};
use serde::de::{Deserialize as _, IntoDeserializer as _};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Parameter, Permission, query};
use super::exchange::Exchange;
use super::fields::Fields;
use super::groups;
use super::node_certificates::issue_and_add;
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;
use crate::certificate_issuing::DEFAULT_DAYS;
use crate::provisioning::{self, AgentInstance, DataPlane, KongImage, Platform, ProvisioningError};

/// What says which instance.
const CHOICE: [Parameter; 2] = [
    query(
        "platform",
        "docker, linux, kubernetes, kong-conf or agent; docker if not said",
    ),
    query("version", "which Kong: 3.9, 3.4.2; the newest if not said"),
];

/// The endpoints of provisioning, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> [Endpoint; 2] {
    let path = format!("{prefix}/{{group}}/nodes/new");
    [
        Endpoint::new(
            Method::GET,
            &path,
            Permission::ReadGroup,
            "What a new runtime instance is started with, as a script or file, but for its certificate or token: nothing is made",
            template,
        )
        .reads(&CHOICE)
        .in_media("text/plain")
        .answers(200, json!({ "type": "string" })),
        Endpoint::new(
            Method::POST,
            &path,
            Permission::WriteGroup,
            "What a new runtime instance is started with, as a script or file with a certificate or token made for it",
            new,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/NewNode" }))
        .in_media("text/plain")
        .answers(201, json!({ "type": "string" })),
    ]
}

/// Which instance is asked for, checked before anything is made.
struct Choice {
    platform: Platform,
    endpoint: provisioning::Endpoint,
    /// None for our own agent.
    image: Option<KongImage>,
}

impl Choice {
    fn of(exchange: &Exchange, platform: Option<&str>, version: Option<&str>) -> Result<Self, Refusal> {
        let platform = named(platform)?;
        let endpoint = provisioning::Endpoint::of(&exchange.services.settings.control_plane_endpoint)?;
        if platform == Platform::Agent {
            check_type(exchange, RuntimeType::Native)?;
            return Ok(Self {
                platform,
                endpoint,
                image: None,
            });
        }
        check_type(exchange, RuntimeType::KongGateway)?;
        let image = KongImage::of(version)?;
        if !endpoint.tls {
            return Err(ProvisioningError::Endpoint(
                "Kong connects by TLS only: start the server without --dataplane-plaintext".to_owned(),
            )
            .into());
        }
        if platform == Platform::KongConf && !image.inline_certificates {
            return Err(ProvisioningError::NeedsFiles {
                version: image.tag,
                platform: platform.name(),
            }
            .into());
        }
        Ok(Self {
            platform,
            endpoint,
            image: Some(image),
        })
    }
}

/// The text that `new` answers, with words where the credential would be.
async fn template(exchange: Exchange) -> Result<Answer, Refusal> {
    let Choice {
        platform,
        endpoint,
        image,
    } = Choice::of(
        &exchange,
        exchange.query.get("platform"),
        exchange.query.get("version"),
    )?;
    let group = exchange.group()?.name.clone();
    let authority = authority(&exchange).await?;
    let text = match image {
        None => AgentInstance {
            group,
            endpoint,
            token: Secret::new("the-token-that-POST-makes".to_owned()),
            authority,
        }
        .render(),
        Some(image) => DataPlane {
            group,
            endpoint,
            certificate: "(the certificate that POST makes)\n".to_owned(),
            key: Secret::new("(the private key that POST makes)\n".to_owned()),
            authority,
            image,
        }
        .render(platform)
        .ok_or_else(Refusal::not_found)??,
    };
    answered(&exchange, StatusCode::OK, platform, text, Value::Null)
}

async fn new(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let platform = fields.optional::<String>("platform");
    let version = fields.optional::<String>("version");
    let name = fields.optional::<String>("name");
    fields.finish()?;
    let choice = Choice::of(&exchange, platform.as_deref(), version.as_deref())?;
    let platform = choice.platform;
    let (text, credential) = match choice.image {
        None => agent(&exchange, choice.endpoint, name).await?,
        Some(image) => data_plane(&exchange, platform, choice.endpoint, image, name).await?,
    };
    answered(&exchange, StatusCode::CREATED, platform, text, credential)
}

fn answered(
    exchange: &Exchange,
    status: StatusCode,
    platform: Platform,
    text: String,
    credential: Value,
) -> Result<Answer, Refusal> {
    let wants_json = exchange.headers.get(ACCEPT);
    let wants_json = wants_json.is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
    let answer = match wants_json {
        true => {
            let mut body = json!({ "platform": platform.name(), "text": text });
            body["credential"] = credential;
            Answer::json(status, &body)
        }
        false => Answer::text(status, "text/plain; charset=utf-8", text),
    };
    // It may hold a secret.
    Ok(answer.with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// The text and what identifies the certificate in it.
async fn data_plane(
    exchange: &Exchange,
    platform: Platform,
    endpoint: provisioning::Endpoint,
    image: KongImage,
    name: Option<String>,
) -> Result<(String, Value), Refusal> {
    let issued = issue_and_add(exchange, name, DEFAULT_DAYS).await?;
    if issued.accepted.replayed {
        return Err(answered_before());
    }
    let data_plane = DataPlane {
        group: exchange.group()?.name.clone(),
        endpoint,
        certificate: issued.issued.certificate,
        key: issued.issued.key,
        authority: issued.authority.certificate,
        image,
    };
    let text = data_plane.render(platform).ok_or_else(Refusal::not_found)??;
    let certificate = issued
        .accepted
        .outcome
        .certificate
        .map(|certificate| certificate.id);
    Ok((text, json!({ "type": "certificate", "id": certificate })))
}

/// The text and what identifies the token in it.
async fn agent(
    exchange: &Exchange,
    endpoint: provisioning::Endpoint,
    name: Option<String>,
) -> Result<(String, Value), Refusal> {
    let group = exchange.group()?;
    let authority = authority(exchange).await?;
    let secret = token::write(Role::Instance, (exchange.services.entropy)());
    let command = OrganizationCommand::IssueToken {
        name: name.unwrap_or_else(|| format!("agent of {}", group.name).chars().take(128).collect()),
        role: Role::Instance,
        group: Some(group.id),
        hash: token::hash(secret.expose()),
        expires_at: None,
    };
    let issued = exchange.change_organization(command).await?;
    if issued.replayed {
        return Err(answered_before());
    }
    let agent = AgentInstance {
        group: group.name.clone(),
        endpoint,
        token: secret,
        authority,
    };
    let token = issued.outcome.token.map(|token| token.id);
    Ok((agent.render(), json!({ "type": "token", "id": token })))
}

/// The built-in CA's certificate, PEM.
async fn authority(exchange: &Exchange) -> Result<String, Refusal> {
    let system = exchange.services.commands.system_state().await?;
    let authority = system.state.authority.as_ref();
    let authority = authority.ok_or_else(|| Refusal::unavailable("the installation has no built-in CA"))?;
    Ok(authority.certificate.clone())
}

/// Whatever was made this time opens nothing.
fn answered_before() -> Refusal {
    let message =
        "this Idempotency-Key was answered before, and secrets are shown once: ask again with another key";
    Refusal::new(StatusCode::CONFLICT, message)
}

fn named(text: Option<&str>) -> Result<Platform, Refusal> {
    let Some(text) = text else {
        return Ok(Platform::Docker);
    };
    let text: StrDeserializer<'_, UnknownPlatform> = text.into_deserializer();
    Platform::deserialize(text).map_err(|error| Refusal::invalid("platform", "enum", error.to_string()))
}

/// A group's instances are of one type.
fn check_type(exchange: &Exchange, wanted: RuntimeType) -> Result<(), Refusal> {
    match exchange.group()?.runtime_type {
        Some(actual) if actual != wanted => {
            let (actual, wanted) = (actual.name(), wanted.name());
            Err(domain::organization::OrganizationError::RuntimeType { actual, wanted }.into())
        }
        _ => Ok(()),
    }
}

impl From<ProvisioningError> for Refusal {
    fn from(error: ProvisioningError) -> Self {
        let message = error.to_string();
        match error {
            // What is asked for is right; the server isn't set up for it.
            ProvisioningError::Endpoint(_) => Self::new(StatusCode::CONFLICT, message),
            ProvisioningError::Version(_) | ProvisioningError::NeedsFiles { .. } => {
                Self::invalid("version", "invalid", message)
            }
        }
    }
}
