//! Certificates that open a group to its instances: add, issue, list, read, remove (`runtime-manager-features.md` §2.3).

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Method, StatusCode};
use domain::gateway::Accepted;
use domain::organization::{NodeCertificate, OrganizationCommand, OrganizationError, OrganizationOutcome};
use domain::system::{Authority, GroupOfOrganization, Possession, SignedChallenge, possession};
use domain::{NodeCertificateId, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::fields::Fields;
use super::groups;
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;
use crate::certificate_expiry;
use crate::certificate_issuing::{self, DEFAULT_DAYS, IssuedCertificate, LONGEST_DAYS};

/// The endpoints of certificates, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let all = format!("{prefix}/{{group}}/dp-client-certificates");
    let one = format!("{all}/{{certificate}}");
    let schema = json!({ "$ref": "#/components/schemas/NodeCertificate" });
    let item = json!({ "type": "object", "properties": { "item": schema } });
    let items = json!({ "type": "object", "properties": { "items": { "type": "array", "items": schema } } });
    vec![
        Endpoint::new(
            Method::GET,
            &all,
            Permission::ReadGroup,
            "List the certificates that open a runtime group to its instances",
            list,
        )
        .answers(200, items),
        Endpoint::new(
            Method::POST,
            &all,
            Permission::WriteGroup,
            "Add a certificate: instances that have it, or whose certificate it issued, belong to the runtime group",
            add,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/NewNodeCertificate" }))
        .answers(201, item.clone()),
        Endpoint::new(
            Method::GET,
            format!("{all}/challenge"),
            Permission::WriteGroup,
            "A text to sign with a certificate's private key, which shows whose certificate is added",
            challenge,
        )
        .answers(200, json!({ "$ref": "#/components/schemas/CertificateChallenge" })),
        Endpoint::new(
            Method::POST,
            format!("{all}/issue"),
            Permission::WriteGroup,
            "Issue a certificate by the built-in CA and add it; its key is in this answer and nowhere else",
            issue,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/NodeCertificateRequest" }))
        .answers(201, json!({ "$ref": "#/components/schemas/IssuedNodeCertificate" })),
        Endpoint::new(
            Method::GET,
            &one,
            Permission::ReadGroup,
            "Read a certificate",
            read,
        )
        .answers(200, item),
        Endpoint::new(
            Method::DELETE,
            &one,
            Permission::WriteGroup,
            "Remove a certificate: the connections of its instances are closed",
            remove,
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null),
    ]
}

/// A certificate as answers carry it; times are whole seconds, as in the hosted product's.
fn shown(certificate: &NodeCertificate, now: Timestamp) -> Value {
    let mut shown = as_recorded(certificate);
    shown["warnings"] = json!(certificate_expiry::warnings(certificate, now));
    shown
}

/// A certificate as it was recorded.
pub(crate) fn as_recorded(certificate: &NodeCertificate) -> Value {
    let content = &certificate.content;
    json!({
        "id": certificate.id,
        "name": certificate.name,
        "cert": content.pem,
        "created_at": certificate.created_at.seconds(),
        "updated_at": certificate.updated_at.seconds(),
        "fingerprint": content.fingerprint.to_string(),
        "subject": content.subject,
        "serial": content.serial,
        "is_ca": content.is_ca,
        "expires_at": content.not_after.seconds(),
    })
}

/// A certificate that a restored group doesn't have any more.
pub(super) fn left_out(certificate: &NodeCertificate) -> Value {
    json!({
        "id": certificate.id,
        "name": certificate.name,
        "fingerprint": certificate.content.fingerprint.to_string(),
        "subject": certificate.content.subject,
    })
}

async fn all(exchange: &Exchange) -> Result<Vec<NodeCertificate>, Refusal> {
    let (organization, group) = exchange.place()?;
    exchange.reads().certificates(organization, group).await
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let now = exchange.services.clock.now();
    let certificates = all(&exchange).await?;
    let items: Vec<_> = certificates.iter().map(|one| shown(one, now)).collect();
    let page = json!({ "total": items.len() });
    Ok(Answer::ok(&json!({ "items": items, "page": page })))
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let id = NodeCertificateId(exchange.id_parameter("certificate")?);
    let certificates = all(&exchange).await?;
    let found = certificates.iter().find(|certificate| certificate.id == id);
    let found = found.ok_or(OrganizationError::NoSuchCertificate(id))?;
    let item = shown(found, exchange.services.clock.now());
    Ok(Answer::ok(&json!({ "item": item })))
}

async fn add(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let pem = fields.required::<String>("cert");
    let name = name(&mut fields);
    let proof = fields.optional::<Proof>("proof");
    fields.finish()?;
    let possession = match proof {
        Some(proof) => Possession::Signed(proof.into()),
        // Clients of the hosted product send no proof. Whoever may change every group takes no instances from anybody.
        None if exchange.caller()?.changes_every_group() => Possession::Vouched,
        None => Possession::Unproven,
    };
    let accepted = added(&exchange, pem.unwrap_or_default(), name, possession).await?;
    let certificate = recorded(&accepted)?;
    let item = shown(certificate, exchange.services.clock.now());
    Ok(created(&exchange, certificate, &json!({ "item": item })))
}

/// A signed challenge, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    challenge: String,
    signature: String,
}

impl From<Proof> for SignedChallenge {
    fn from(proof: Proof) -> Self {
        Self {
            challenge: proof.challenge,
            signature: proof.signature,
        }
    }
}

async fn challenge(exchange: Exchange) -> Result<Answer, Refusal> {
    let (organization, group) = exchange.place()?;
    let system = exchange.services.commands.system_state().await?;
    let by = GroupOfOrganization { organization, group };
    let made = possession::challenge(&system.state, by, exchange.services.clock.now());
    let (challenge, until) =
        made.ok_or_else(|| Refusal::unavailable("the installation has no built-in CA"))?;
    let body = json!({ "challenge": challenge, "expires_at": until.seconds() });
    Ok(Answer::ok(&body).with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

async fn issue(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let name = name(&mut fields);
    let days = fields.optional::<u32>("days");
    if days.is_some_and(|days| days == 0 || days > LONGEST_DAYS) {
        let reason = format!("must be a number of days from 1 to {LONGEST_DAYS}");
        fields.refuse("days", "invalid", &reason);
    }
    fields.finish()?;
    let issued = issue_and_add(&exchange, name, days.unwrap_or(DEFAULT_DAYS)).await?;
    let certificate = recorded(&issued.accepted)?;
    let mut body = json!({
        "item": shown(certificate, exchange.services.clock.now()),
        "cert": certificate.content.pem,
        "ca": issued.authority.certificate,
    });
    // The key of a repeated request was shown with its first answer; this one's opens nothing.
    if !issued.accepted.replayed {
        body["key"] = Value::from(issued.issued.key.expose());
    }
    let place = exchange.path.trim_end_matches("/issue").to_owned();
    let place = format!("{}/{}", place.trim_end_matches('/'), certificate.id);
    Ok(Answer::json(StatusCode::CREATED, &body).located(&place))
}

/// A certificate that was issued and belongs to the group in the path.
pub(super) struct IssuedForGroup {
    /// What the organization recorded of it.
    pub(super) accepted: Accepted<OrganizationOutcome>,
    /// It and its key.
    pub(super) issued: IssuedCertificate,
    /// Who issued it.
    pub(super) authority: Authority,
}

/// Issues a certificate, under the group's name if it has none of its own, and adds it to the group in the path.
pub(super) async fn issue_and_add(
    exchange: &Exchange,
    name: Option<String>,
    days: u32,
) -> Result<IssuedForGroup, Refusal> {
    let system = exchange.services.commands.system_state().await?;
    let authority = system.state.authority.clone();
    let authority = authority.ok_or_else(|| Refusal::unavailable("the installation has no built-in CA"))?;
    let common_name = name.as_deref().unwrap_or(&exchange.group()?.name);
    let now = exchange.services.clock.now();
    let issued = certificate_issuing::issue(&authority, common_name, now, days);
    let issued = issued.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let accepted = added(exchange, issued.certificate.clone(), name, Possession::Known).await?;
    Ok(IssuedForGroup {
        accepted,
        issued,
        authority,
    })
}

async fn added(
    exchange: &Exchange,
    pem: String,
    name: Option<String>,
    possession: Possession,
) -> Result<Accepted<OrganizationOutcome>, Refusal> {
    let group = exchange.group()?.id;
    let command = OrganizationCommand::AddNodeCertificate {
        group,
        pem,
        name,
        possession,
    };
    exchange.change_organization(command).await
}

async fn remove(exchange: Exchange) -> Result<Answer, Refusal> {
    let certificate = NodeCertificateId(exchange.id_parameter("certificate")?);
    let group = exchange.group()?.id;
    let command = OrganizationCommand::RemoveNodeCertificate { group, certificate };
    exchange.change_organization(command).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn name(fields: &mut Fields) -> Option<String> {
    let name = fields.optional::<String>("name");
    if name.as_ref().is_some_and(|name| name.contains('\0')) {
        fields.refuse("name", "characters", "must not contain the character NUL");
    }
    name
}

fn recorded(accepted: &Accepted<OrganizationOutcome>) -> Result<&NodeCertificate, Refusal> {
    let certificate = accepted.outcome.certificate.as_deref();
    certificate
        .ok_or_else(|| Refusal::unavailable("the certificate was added; look at the list of certificates"))
}

fn created(exchange: &Exchange, certificate: &NodeCertificate, body: &Value) -> Answer {
    let place = format!("{}/{}", exchange.path.trim_end_matches('/'), certificate.id);
    Answer::json(StatusCode::CREATED, body).located(&place)
}
