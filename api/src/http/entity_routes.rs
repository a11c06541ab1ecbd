//! The endpoints of entities, made from the schemas: flat, nested below what they refer to, and the way back, under
//! each prefix (`deck-go-kong.md` §5.1).

use axum::http::Method;
use domain::Kind;
use serde_json::{Value, json};

use super::body::KONG_MEDIA_TYPES;
use super::endpoint::{Endpoint, Parameter, Permission, header, query};
use super::kong_pages::PAGING;
use super::prefixes::{PREFIXES, Prefix};
use super::refusal::Refusal;
use super::switched_off::FILTER_CHAINS;
use super::writes::WRITE_HEADERS;
use super::{consumer_groups, entities, entity_lists};

/// What an endpoint is about: a kind, below a parent or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The kind.
    pub(crate) kind: Kind,
    /// The parent's kind, if nested.
    pub(crate) parent: Option<Kind>,
    /// Where it is served.
    pub(crate) prefix: Prefix,
}

impl Place {
    /// Whether `?skip_hash` means something here.
    pub(crate) fn skips_hashing(self) -> bool {
        self.prefix.skips_hashing && self.kind.name() == "basicauth_credentials"
    }

    /// The path parameter that names the entity.
    pub(crate) const fn selector(self) -> &'static str {
        match self.parent {
            None => "entity",
            Some(_) => "child",
        }
    }

    /// The parent's kind of a nested place.
    pub(crate) fn parent_kind(self) -> Result<Kind, Refusal> {
        self.parent.ok_or_else(Refusal::not_found)
    }
}

/// The state that a read is made from.
pub(crate) const AT: Parameter = query("at", "a version or an RFC 3339 time: the entity as it was then");
const NEWER_THAN: Parameter = header("X-Group-Version", "the answer is at least as new as this version");
const TAGS: Parameter = query("tags", "a,b: with all of these tags; a/b: with any");
const CUSTOM_ID: Parameter = query("custom_id", "the one with this custom_id");

/// Every endpoint of every kind under every prefix.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for prefix in PREFIXES {
        for kind in served_kinds() {
            let all = flat(prefix, kind).into_iter().chain(nested(prefix, kind));
            let served_here =
                |endpoint: &Endpoint| prefix.serves(&endpoint.path) && !consumer_groups::replaces(endpoint);
            endpoints.extend(all.filter(served_here));
        }
    }
    endpoints
}

/// The kinds that have endpoints.
pub(crate) fn served_kinds() -> impl Iterator<Item = Kind> {
    let served = Kind::all().filter(|kind| kind.schema().served);
    served.filter(|kind| kind.name() != FILTER_CHAINS)
}

fn flat(prefix: Prefix, kind: Kind) -> Vec<Endpoint> {
    let place = Place {
        kind,
        parent: None,
        prefix,
    };
    let path = format!("{}/{}", prefix.base, kind.schema().collection);
    let mut endpoints = collection(&path, place);
    endpoints.extend(member(&format!("{path}/{{entity}}"), place));
    endpoints
}

fn nested(prefix: Prefix, kind: Kind) -> Vec<Endpoint> {
    let schema = kind.schema();
    let mut endpoints = Vec::new();
    let mut parents = Vec::new();
    for key in &schema.foreign_keys {
        let Some(parent) = key.kind.filter(|parent| parent.schema().served) else {
            continue;
        };
        let related = format!("{}/{}/{{entity}}/{}", prefix.base, schema.collection, key.field);
        let place = Place {
            kind,
            parent: None,
            prefix,
        };
        endpoints.extend(way_back(&related, place, key.field, parent));
        if parents.contains(&parent) {
            continue;
        }
        parents.push(parent);
        let place = Place {
            parent: Some(parent),
            ..place
        };
        let path = format!(
            "{}/{}/{{entity}}/{}",
            prefix.base,
            parent.schema().collection,
            schema.nested_collection
        );
        endpoints.extend(collection(&path, place));
        endpoints.extend(member(&format!("{path}/{{child}}"), place));
    }
    endpoints
}

/// What writes of a kind read besides headers.
fn skip_hash(place: Place) -> &'static [Parameter] {
    const SKIP_HASH: [Parameter; 1] = [query(
        "skip_hash",
        "true: the password is a hash already and is stored as it is sent",
    )];
    if place.skips_hashing() { &SKIP_HASH } else { &[] }
}

fn collection(path: &str, place: Place) -> Vec<Endpoint> {
    let kind = place.kind;
    let skip_hash = skip_hash(place);
    let below = below(place);
    let custom_id: &[Parameter] = match entity_lists::is_found_by_custom_id(kind) {
        true => &[CUSTOM_ID],
        false => &[],
    };
    vec![
        Endpoint::new(
            Method::GET,
            path,
            Permission::ReadHistory,
            format!("List {kind}{below}"),
            move |exchange| entity_lists::list(exchange, place),
        )
        .reads(&PAGING)
        .reads(&[TAGS, AT, NEWER_THAN])
        .reads(custom_id)
        .answers(200, page_of(kind))
        .by_kongs_rules(),
        Endpoint::new(
            Method::POST,
            path,
            Permission::WriteGroup,
            format!("Create one of the {kind}{below}"),
            move |exchange| entities::create(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .reads(skip_hash)
        .takes_media(&KONG_MEDIA_TYPES, schema_of(kind))
        .answers(201, schema_of(kind))
        .by_kongs_rules(),
    ]
}

fn member(path: &str, place: Place) -> Vec<Endpoint> {
    let kind = place.kind;
    let skip_hash = skip_hash(place);
    let below = below(place);
    vec![
        Endpoint::new(
            Method::GET,
            path,
            Permission::ReadHistory,
            format!("Read one of the {kind}{below}"),
            move |exchange| entities::read(exchange, place),
        )
        .reads(&[AT, NEWER_THAN])
        .answers(200, schema_of(kind))
        .by_kongs_rules(),
        Endpoint::new(
            Method::PUT,
            path,
            Permission::WriteGroup,
            format!("Create or replace one of the {kind}{below}"),
            move |exchange| entities::put(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .reads(skip_hash)
        .takes_media(&KONG_MEDIA_TYPES, schema_of(kind))
        .answers(200, schema_of(kind))
        .by_kongs_rules(),
        Endpoint::new(
            Method::PATCH,
            path,
            Permission::WriteGroup,
            format!("Change some fields of one of the {kind}{below}"),
            move |exchange| entities::patch(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .reads(skip_hash)
        .takes_media(&KONG_MEDIA_TYPES, schema_of(kind))
        .answers(200, schema_of(kind))
        .by_kongs_rules(),
        Endpoint::new(
            Method::DELETE,
            path,
            Permission::WriteGroup,
            format!("Delete one of the {kind}{below}; a success if it is gone already"),
            move |exchange| entities::delete(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null)
        .by_kongs_rules(),
    ]
}

fn way_back(path: &str, child: Place, field: &'static str, parent: Kind) -> Vec<Endpoint> {
    let summary = |what: &str| format!("{what} the {field} of one of the {}", child.kind);
    vec![
        Endpoint::new(
            Method::GET,
            path,
            Permission::ReadHistory,
            summary("Read"),
            move |exchange| entities::read_related(exchange, child, field, parent),
        )
        .reads(&[AT, NEWER_THAN])
        .answers(200, schema_of(parent))
        .by_kongs_rules(),
        Endpoint::new(
            Method::PUT,
            path,
            Permission::WriteGroup,
            summary("Replace"),
            move |exchange| entities::put_related(exchange, child, field, parent),
        )
        .reads(&WRITE_HEADERS)
        .takes_media(&KONG_MEDIA_TYPES, schema_of(parent))
        .answers(200, schema_of(parent))
        .by_kongs_rules(),
        Endpoint::new(
            Method::PATCH,
            path,
            Permission::WriteGroup,
            summary("Change some fields of"),
            move |exchange| entities::patch_related(exchange, child, field, parent),
        )
        .reads(&WRITE_HEADERS)
        .takes_media(&KONG_MEDIA_TYPES, schema_of(parent))
        .answers(200, schema_of(parent))
        .by_kongs_rules(),
    ]
}

fn below(place: Place) -> String {
    place
        .parent
        .map(|parent| format!(" of one of the {parent}"))
        .unwrap_or_default()
}

fn schema_of(kind: Kind) -> Value {
    json!({ "$ref": format!("#/components/schemas/{kind}") })
}

fn page_of(kind: Kind) -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": { "type": "array", "items": schema_of(kind) },
            "next": { "type": ["string", "null"] },
            "offset": { "type": "string" },
        },
    })
}
