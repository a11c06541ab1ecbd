//! Runtime groups: create, list, read, change, delete, restore, purge (`runtime-manager-features.md` §2.1).

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use domain::organization::{
    AuthType, ClusterType, GroupPatch, GroupRecord, GroupSettings, NewGroup, OrganizationCommand, ProxyUrl,
    RuntimeType,
};
use domain::{GroupId, Timestamp, Version};
use projections::{GroupFilter, GroupPage, GroupRow, GroupSort};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::exchange::Exchange;
use super::fields::Fields;
use super::group_filters::{self, NO_GROUP};
use super::node_certificates;
use super::pages::{PAGE, Page};
use super::preconditions;
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

/// Where groups are found: today's name and the later one.
pub(crate) const PREFIXES: [&str; 2] = ["/v2/runtime-groups", "/v2/control-planes"];

/// The endpoints of groups, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let one = format!("{prefix}/{{group}}");
    let listing = [
        query(
            "filter[",
            "filter[name]=x, filter[name][contains]=x, filter[id][oeq]=a,b and so on; filter[deleted]=true: the deleted ones",
        ),
        query("labels", "env:prod,team: these labels, with this value or at all"),
        query("sort", "created_at or name, then asc or desc"),
    ];
    let schema = || json!({ "$ref": "#/components/schemas/RuntimeGroup" });
    let page = json!({ "$ref": "#/components/schemas/RuntimeGroupPage" });
    vec![
        Endpoint::new(
            Method::GET,
            prefix,
            Permission::Member,
            "List runtime groups",
            list,
        )
        .reads(&PAGE)
        .reads(&listing)
        .answers(200, page),
        Endpoint::new(
            Method::POST,
            prefix,
            Permission::WriteOrganization,
            "Create a runtime group",
            create,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/NewRuntimeGroup" }))
        .answers(201, schema()),
        Endpoint::new(
            Method::GET,
            &one,
            Permission::ReadGroup,
            "Read a runtime group",
            read,
        )
        .answers(200, schema()),
        Endpoint::new(
            Method::PATCH,
            &one,
            Permission::WriteGroup,
            "Change a runtime group; its name only with a token of the organization, whose names they are",
            update,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/RuntimeGroupChange" }))
        .answers(200, schema()),
        Endpoint::new(
            Method::DELETE,
            &one,
            Permission::WriteGroup,
            "Delete a runtime group",
            delete,
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null),
        Endpoint::new(
            Method::POST,
            format!("{one}/restore"),
            Permission::WriteOrganization,
            "Restore a deleted runtime group, under a new name if its own is taken",
            restore,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "type": "object", "properties": { "name": { "type": "string" } } }))
        .answers(200, schema()),
        Endpoint::new(
            Method::POST,
            format!("{one}/purge"),
            Permission::WriteOrganization,
            "Purge a deleted runtime group: make what is sealed in its history unreadable for ever",
            purge,
        )
        .reads(&WRITE_HEADERS)
        .answers(200, schema()),
    ]
}

/// A group as answers carry it.
pub(crate) fn shown(group: &GroupRow, exchange: &Exchange) -> Value {
    let mut body = record_shown(&group.record, group.version, exchange);
    body["entities"] = json!(group.entities);
    body
}

/// A group as it was recorded, whatever has become of it.
pub(crate) fn as_recorded(group: &GroupRecord, exchange: &Exchange) -> Value {
    let mut body = record_shown(group, 0, exchange);
    if let Some(body) = body.as_object_mut() {
        // What the record doesn't say: the version it has by now, and the time that today's settings give it.
        body.remove("version");
        body.remove("purge_at");
    }
    body
}

fn record_shown(group: &GroupRecord, version: Version, exchange: &Exchange) -> Value {
    let settings = &exchange.services.settings;
    let mut shown = json!({
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "labels": group.labels,
        "config": {
            "control_plane_endpoint": settings.control_plane_endpoint,
            "telemetry_endpoint": settings.telemetry_endpoint,
            "cluster_type": group.settings.cluster_type,
            "auth_type": group.settings.auth_type,
            "cloud_gateway": group.settings.cloud_gateway,
            "proxy_urls": group.settings.proxy_urls,
        },
        "runtime_type": group.runtime_type,
        "version": version,
        "created_at": group.created_at.rfc3339(),
        "updated_at": group.updated_at.rfc3339(),
    });
    if let Some(deleted) = group.deleted_at {
        let kept = settings.group_retention.filter(|_| group.purged_at.is_none());
        let purge = kept.map(|kept| deleted.plus_seconds(kept.as_secs().cast_signed()));
        shown["deleted_at"] = Value::from(deleted.rfc3339());
        shown["purge_at"] = json!(purge.map(Timestamp::rfc3339));
        shown["purged_at"] = json!(group.purged_at.map(Timestamp::rfc3339));
    }
    shown
}

/// The groups a caller may see.
pub(crate) async fn visible(
    exchange: &Exchange,
    mut filter: GroupFilter,
    sort: GroupSort,
    page: projections::Page,
) -> Result<GroupPage, Refusal> {
    let caller = exchange.caller()?;
    if let Some(own) = caller.token.group {
        let asked = filter.ids.is_empty() || filter.ids.contains(&own);
        filter.ids = vec![if asked { own } else { NO_GROUP }];
    }
    exchange
        .reads()
        .groups(caller.organization, &filter, sort, page)
        .await
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let page = Page::of(&exchange.query)?;
    let (filter, sort) = group_filters::of(&exchange.query)?;
    let wanted = projections::Page {
        number: usize::try_from(page.number).unwrap_or(usize::MAX),
        size: page.size as usize,
    };
    let groups = visible(&exchange, filter, sort, wanted).await?;
    let data = groups.items.iter().map(|group| shown(group, &exchange)).collect();
    Ok(Answer::ok(&page.envelope(data, groups.total as u64)))
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let organization = exchange.caller()?.organization;
    let id = exchange.group()?.id;
    // The one that authorized the request may be a moment old.
    let group = exchange
        .reads()
        .group_as_it_is(organization, id)
        .await?
        .filter(|group| group.record.deleted_at.is_none())
        .ok_or_else(|| gone(id))?;
    let touched = group.record.touched;
    if preconditions::is_current(&exchange.headers, touched) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).tagged(touched));
    }
    Ok(Answer::ok(&shown(&group, &exchange))
        .tagged(touched)
        .at_version(group.version))
}

/// The answer to a change of a group.
async fn answer(group: &GroupRecord, exchange: &Exchange) -> Result<Answer, Refusal> {
    let version = exchange.reads().group_version(group.id).await?;
    Ok(Answer::ok(&record_shown(group, version, exchange))
        .tagged(group.touched)
        .at_version(version))
}

async fn create(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let name = fields.required::<String>("name");
    let description = fields.optional::<String>("description");
    let labels = fields.optional::<BTreeMap<String, String>>("labels");
    let settings = GroupSettings {
        cluster_type: fields.optional::<ClusterType>("cluster_type").unwrap_or_default(),
        auth_type: fields.optional::<AuthType>("auth_type").unwrap_or_default(),
        cloud_gateway: fields.optional::<bool>("cloud_gateway").unwrap_or_default(),
        proxy_urls: fields.optional::<Vec<ProxyUrl>>("proxy_urls").unwrap_or_default(),
    };
    let runtime_type = fields.optional::<RuntimeType>("runtime_type");
    fields.finish()?;
    let command = OrganizationCommand::CreateGroup(NewGroup {
        id: None,
        name: name.unwrap_or_default(),
        description,
        labels: labels.unwrap_or_default(),
        settings,
        runtime_type,
    });
    let accepted = exchange.change_organization(command).await?;
    let group = accepted
        .outcome
        .group
        .ok_or_else(|| Refusal::unavailable("the group was created; read the list of groups to see it"))?;
    let place = format!("{}/{}", exchange.path.trim_end_matches('/'), group.id);
    let created = Answer::json(StatusCode::CREATED, &record_shown(&group, 0, &exchange));
    Ok(created.tagged(group.touched).at_version(0).located(&place))
}

async fn update(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let mut fields = Fields::of(exchange.object()?);
    let name = fields.nullable::<String>("name");
    if name == Some(None) {
        fields.refuse("name", "is_string", "can't be cleared");
    }
    let mut patch = GroupPatch {
        name: name.flatten(),
        description: fields.nullable("description"),
        labels: fields.nullable("labels").map(Option::unwrap_or_default),
        auth_type: fields.optional("auth_type"),
        proxy_urls: fields.nullable("proxy_urls").map(Option::unwrap_or_default),
    };
    fields.finish()?;
    if let Some(name) = &patch.name
        && exchange.caller()?.token.group.is_some()
    {
        keeps_its_name(&exchange, name).await?;
        patch.name = None;
    }
    let expected = preconditions::expected_versions(&exchange.headers);
    let command = OrganizationCommand::UpdateGroup {
        group,
        patch,
        expected,
    };
    let accepted = exchange.change_organization(command).await?;
    let group = accepted.outcome.group.ok_or_else(|| gone(group))?;
    answer(&group, &exchange).await
}

/// Which names are taken is known in the organization only: a token of one group says its name again at most.
async fn keeps_its_name(exchange: &Exchange, name: &str) -> Result<(), Refusal> {
    let (organization, group) = exchange.place()?;
    let group = exchange.reads().group_as_it_is(organization, group).await?;
    match group.is_some_and(|group| group.record.name == name) {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "this token is for one runtime group only, and names belong to the organization: rename it with a token of the whole organization",
        )),
    }
}

async fn delete(exchange: Exchange) -> Result<Answer, Refusal> {
    let (organization, group) = exchange.place()?;
    let expected = preconditions::expected_versions(&exchange.headers);
    let cause = exchange.cause()?;
    let deleted = exchange
        .services
        .commands
        .delete_group(organization, group, expected, cause)
        .await;
    exchange.services.access.forget();
    deleted?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn restore(exchange: Exchange) -> Result<Answer, Refusal> {
    let organization = exchange.caller()?.organization;
    let id = GroupId(exchange.id_parameter("group")?);
    let mut fields = Fields::of(exchange.object()?);
    let name = fields.optional::<String>("name");
    fields.finish()?;
    let cause = exchange.cause()?;
    let restored = exchange
        .services
        .commands
        .restore_group(organization, id, name, cause)
        .await;
    exchange.services.access.forget();
    let outcome = restored?.outcome;
    let group = outcome.group.ok_or_else(|| gone(id))?;
    let version = exchange.reads().group_version(group.id).await?;
    let mut body = record_shown(&group, version, &exchange);
    let left_out = outcome.left_out.iter();
    body["left_out_certificates"] = left_out
        .map(|certificate| node_certificates::left_out(certificate))
        .collect();
    let tokens = outcome.left_out_tokens.iter();
    body["left_out_tokens"] = tokens
        .map(|token| json!({ "id": token.id, "name": token.name, "role": token.role.name() }))
        .collect();
    Ok(Answer::ok(&body).tagged(group.touched).at_version(version))
}

async fn purge(exchange: Exchange) -> Result<Answer, Refusal> {
    let organization = exchange.caller()?.organization;
    let id = GroupId(exchange.id_parameter("group")?);
    let expected = preconditions::expected_versions(&exchange.headers);
    let cause = exchange.cause()?;
    let commands = &exchange.services.commands;
    let purged = commands.purge_group(organization, id, expected, cause).await;
    exchange.services.access.forget();
    let group = purged?.outcome.group.ok_or_else(|| gone(id))?;
    answer(&group, &exchange).await
}

fn gone(id: GroupId) -> Refusal {
    domain::organization::OrganizationError::NoSuchGroup(id).into()
}
